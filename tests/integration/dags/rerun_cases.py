"""DAGs of slots that are run again, and one with many posts of one account."""

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DAG, CronPartitionTimetable, Param, task

from tiktok_provider.operators.publish_video import TikTokPublishVideoOperator

# A slot for each day of a month that is over: only backfills make runs.
MONTH: dict[str, Any] = {
    "start_date": datetime(2026, 1, 1, tzinfo=UTC),
    "end_date": datetime(2026, 1, 31, tzinfo=UTC),
    "max_active_runs": 64,
}


def slot(day: str, conn_id: str) -> TikTokPublishVideoOperator:
    """Return the task of one slot.

    :param day: an expression for its day of the month.
    :param conn_id: begins the connection's id; ten accounts take turns, so that no task waits for a rate limit.
    """
    return TikTokPublishVideoOperator(
        task_id="publish",
        video=f"{{{{ dag_run.conf['folder'] }}}}/{{{{ {day} }}}}.mp4",
        title="{{ dag_run.conf.get('title', 'Good morning') }}",
        privacy_level="PUBLIC_TO_EVERYONE",
        tiktok_conn_id=f"{conn_id}{{{{ {day} % 10 }}}}",
        retry_delay=timedelta(seconds=5),
    )


with DAG("case_dates", schedule="0 0 * * *", **MONTH):
    slot("logical_date.day", "rerun_")

with DAG("case_partitions", schedule=CronPartitionTimetable("0 0 * * *", timezone="UTC"), **MONTH):
    slot("(dag_run.partition_key[8:10] | int)", "rerun_")

with DAG("case_rate_limit", params={"video": Param(type="string"), "posts": Param(9, type="integer")}):

    @task
    def posts(params: dict[str, Any] | None = None, run_id: str | None = None) -> list[dict[str, str]]:
        """Return the same video again and again, each time as a post of its own."""
        given = params or {}
        return [
            {"video": str(given["video"]), "post_key": f"{run_id} {number}"}
            for number in range(int(given["posts"]))
        ]

    TikTokPublishVideoOperator.partial(
        task_id="publish",
        privacy_level="PUBLIC_TO_EVERYONE",
        allow_duplicate=True,
        tiktok_conn_id="rate_limit",
    ).expand_kwargs(posts())
