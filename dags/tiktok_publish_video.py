"""Publish one video and wait until it is out. Run it with a video's path and a privacy level of your account."""

from airflow.sdk import DAG, Param

from tiktok_provider.operators.publish_video import TikTokPublishVideoOperator

with DAG(
    "tiktok_publish_video",
    params={
        "video": Param(type="string", description="A local path or an object-storage URL"),
        "privacy_level": Param(
            type="string",
            enum=["PUBLIC_TO_EVERYONE", "MUTUAL_FOLLOW_FRIENDS", "FOLLOWER_OF_CREATOR", "SELF_ONLY"],
            description="One that the account offers",
        ),
        "title": Param("", type="string", description="The caption, with its hashtags"),
    },
    tags=["tiktok"],
):
    TikTokPublishVideoOperator(
        task_id="publish",
        video="{{ params.video }}",
        privacy_level="{{ params.privacy_level }}",
        title="{{ params.title }}",
        wait_for_post_id=True,
    )
