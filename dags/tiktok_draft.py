"""Deliver a video to the creator's inbox, then wait until the creator has posted it.

The first task ends when TikTok has delivered the draft; a message to the creator belongs after it. The second one
waits, without a worker, for up to a week.
"""

from datetime import timedelta

from airflow.sdk import DAG, Param

from tiktok_provider.operators.upload_video import TikTokUploadVideoOperator
from tiktok_provider.sensors.post_status import TikTokPostStatusSensor

with DAG(
    "tiktok_draft",
    params={
        "video": Param(type="string", description="A local path or an object-storage URL"),
        "conn_id": Param("tiktok_default", type="string", description="The account's connection"),
    },
    doc_md=__doc__,
    tags=["tiktok"],
) as dag:
    draft = TikTokUploadVideoOperator(
        task_id="deliver",
        video="{{ params.video }}",
        tiktok_conn_id="{{ params.conn_id }}",
    )
    TikTokPostStatusSensor(
        task_id="until_posted",
        publish_id="{{ ti.xcom_pull('deliver')['publish_id'] }}",
        wait_for="posted",
        timeout=timedelta(days=7),
        tiktok_conn_id="{{ params.conn_id }}",
    ).set_upstream(draft)
