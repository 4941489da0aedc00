"""Publish one video and wait until it is out. Run it with a video's path and a privacy level of your account.

The form offers the video that the environment variable `TIKTOK_EXAMPLE_VIDEO` names where DAGs are parsed.
"""

import os
from typing import Any

from airflow.sdk import DAG, Param

from tiktok_provider.operators.publish_video import TikTokPublishVideoOperator

offered: dict[str, Any] = {}
if video := os.environ.get("TIKTOK_EXAMPLE_VIDEO"):
    offered = {"default": video}

with DAG(
    "tiktok_publish_video",
    params={
        "video": Param(**offered, type="string", description="A local path or an object-storage URL"),
        "privacy_level": Param(
            type="string",
            enum=["PUBLIC_TO_EVERYONE", "MUTUAL_FOLLOW_FRIENDS", "FOLLOWER_OF_CREATOR", "SELF_ONLY"],
            description="One that the account offers",
        ),
        "title": Param("", type="string", description="The caption, with its hashtags"),
        "allow_comment": Param(False, type="boolean", description="Whether people may comment"),
        "conn_id": Param("tiktok_default", type="string", description="The account's connection"),
    },
    doc_md=__doc__,
    tags=["tiktok"],
) as dag:
    TikTokPublishVideoOperator(
        task_id="publish",
        video="{{ params.video }}",
        privacy_level="{{ params.privacy_level }}",
        title="{{ params.title }}",
        allow_comment="{{ params.allow_comment }}",
        wait_for_post_id=True,
        tiktok_conn_id="{{ params.conn_id }}",
    )
