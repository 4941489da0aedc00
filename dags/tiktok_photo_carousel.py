"""Publish the pictures of a folder as one photo post, in the order of their names.

TikTok fetches photos from public URLs alone. The connection says where the pictures are copied to for that
(`publish_to`, such as `s3://aws_default@bucket/photos`) and the https address of that place (`public_base_url`).
"""

from typing import Any

from airflow.sdk import DAG, ObjectStoragePath, Param, task

from tiktok_provider.operators.publish_photos import TikTokPublishPhotosOperator

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")

with DAG(
    "tiktok_photo_carousel",
    params={
        "folder": Param(type="string", description="A local path or an object-storage URL"),
        "privacy_level": Param(
            type="string",
            enum=["PUBLIC_TO_EVERYONE", "MUTUAL_FOLLOW_FRIENDS", "FOLLOWER_OF_CREATOR", "SELF_ONLY"],
            description="One that the account offers",
        ),
        "title": Param("", type="string", description="At most 90 characters"),
        "description": Param("", type="string", description="With its hashtags, at most 4,000 characters"),
        "conn_id": Param("tiktok_default", type="string", description="The account's connection"),
    },
    doc_md=__doc__,
    tags=["tiktok"],
) as dag:

    @task
    def pictures(params: dict[str, Any] | None = None) -> list[str]:
        """Return the pictures of the folder."""
        folder = ObjectStoragePath((params or {})["folder"])
        return sorted(str(path) for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)

    TikTokPublishPhotosOperator(
        task_id="publish",
        photos=pictures(),
        privacy_level="{{ params.privacy_level }}",
        title="{{ params.title }}",
        description="{{ params.description }}",
        tiktok_conn_id="{{ params.conn_id }}",
    )
