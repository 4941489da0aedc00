"""Write the numbers of an account and of its videos to object storage, once a day: a history grows there.

Each row is a line of JSON with `account` and `snapshot_at`. A run that is cleared writes the numbers of now again.
"""

from airflow.sdk import DAG, Param

from tiktok_provider.operators.accounts import TikTokAccountStatsOperator
from tiktok_provider.operators.videos import TikTokListVideosOperator

with DAG(
    "tiktok_daily_stats",
    schedule="@daily",
    catchup=False,
    params={
        "folder": Param("/tmp/tiktok", type="string", description="A local path or an object-storage URL"),
        "conn_id": Param("tiktok_default", type="string", description="The account's connection"),
    },
    doc_md=__doc__,
    tags=["tiktok"],
) as dag:
    TikTokAccountStatsOperator(
        task_id="account",
        write_to="{{ params.folder }}/account/{{ ds }}.jsonl",
        tiktok_conn_id="{{ params.conn_id }}",
    )
    TikTokListVideosOperator(
        task_id="videos",
        write_to="{{ params.folder }}/videos/{{ ds }}.jsonl",
        tiktok_conn_id="{{ params.conn_id }}",
    )
