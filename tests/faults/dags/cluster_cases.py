"""DAGs that run on a cluster: one post whose processes are killed, and many videos over several accounts."""

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Param, task

from tiktok_provider.operators.publish_video import TikTokPublishVideoOperator

with DAG("cluster_one", params={"conn_id": Param(type="string"), "video": Param(type="string")}):
    TikTokPublishVideoOperator(
        task_id="publish",
        video="{{ params.video }}",
        privacy_level="PUBLIC_TO_EVERYONE",
        tiktok_conn_id="{{ params.conn_id }}",
        retry_delay=timedelta(seconds=1),
    )

with DAG("cluster_many", params={"videos": Param(type="array")}):

    @task
    def videos(params: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """Return the parameters of each post."""
        return list((params or {})["videos"])

    TikTokPublishVideoOperator.partial(
        task_id="publish", privacy_level="PUBLIC_TO_EVERYONE", retry_delay=timedelta(seconds=1)
    ).expand_kwargs(videos())
