"""One video a day on TikTok with the provider: the same work as `tiktok_by_hand.py`."""

from datetime import datetime

from airflow.sdk import DAG, Param

from tiktok_provider.operators.publish_video import TikTokPublishVideoOperator

with DAG(
    "with_provider",
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    params={"account": Param("with_provider", type="string"), "folder": Param("/videos", type="string")},
):
    TikTokPublishVideoOperator(
        task_id="publish",
        video="{{ params.folder }}/{{ ds }}.mp4",
        privacy_level="PUBLIC_TO_EVERYONE",
        title="The video of {{ ds }}",
        wait_for_post_id=True,
        tiktok_conn_id="{{ params.account }}",
    )
