"""DAGs whose posts are events."""

from typing import Any

from airflow.sdk import DAG, AssetAlias, Param, task

from tiktok_provider.operators.publish_video import TikTokPublishVideoOperator

with DAG("case_events", params={"videos": Param(type="array")}):

    @task
    def posts(params: dict[str, Any] | None = None) -> list[dict[str, str]]:
        """Return a post for each video; in every run the same one."""
        return [{"video": video, "post_key": video} for video in (params or {})["videos"]]

    TikTokPublishVideoOperator.partial(
        task_id="publish", privacy_level="PUBLIC_TO_EVERYONE", outlets=[AssetAlias("tiktok_posts")]
    ).expand_kwargs(posts())
