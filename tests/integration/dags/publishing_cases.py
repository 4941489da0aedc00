"""DAGs that use the operators in the ways that only a real Airflow can show."""

import logging
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, Param, task

from tiktok_provider.operators.creator_info import TikTokCreatorInfoOperator
from tiktok_provider.operators.publish_video import TikTokPublishVideoOperator
from tiktok_provider.sensors.post_status import TikTokPostStatusSensor

VIDEO = {"video": Param(type="string")}


def let_httpx_log(context: Any) -> None:  # noqa: ARG001  (Airflow's signature)
    """Undo Airflow's quieting of httpx, which tells every URL whole."""
    logging.getLogger("httpx").setLevel(logging.DEBUG)


def leave_process_id(context: Any) -> None:
    """Tell the test which process to kill."""
    Path(context["params"]["pid_file"]).write_text(str(os.getpid()))


with DAG("case_chain", params=VIDEO) as chain:
    ask = TikTokCreatorInfoOperator(task_id="ask")
    publish = TikTokPublishVideoOperator(
        task_id="publish",
        video="{{ params.video }}",
        privacy_level="{{ ti.xcom_pull('ask')['privacy_level_options'][0] }}",
        title="{{ ti.xcom_pull('ask')['creator_nickname'] }} at {{ dag_run.run_id }}",
        pre_execute=let_httpx_log,
    )
    find = TikTokPostStatusSensor(
        task_id="find",
        publish_id="{{ ti.xcom_pull('publish', key='publish_id') }}",
        wait_for="post_id",
    )
    ask >> publish >> find

with DAG("case_mapped", params={"videos": Param(type="array")}):

    @task
    def videos(params: dict[str, Any] | None = None) -> list[str]:
        """Return the list that the run was given."""
        return list((params or {})["videos"])

    sent = TikTokPublishVideoOperator.partial(
        task_id="send", privacy_level="PUBLIC_TO_EVERYONE", wait=False
    ).expand(video=videos())
    TikTokPostStatusSensor.partial(task_id="wait").expand(
        publish_id=sent.output.map(lambda result: result["publish_id"])
    )

with DAG("case_on_worker", params=VIDEO):
    TikTokPublishVideoOperator(
        task_id="publish",
        video="{{ params.video }}",
        privacy_level="SELF_ONLY",
        deferrable=False,
    )

with DAG("case_killed", params={**VIDEO, "pid_file": Param(type="string")}):
    TikTokPublishVideoOperator(
        task_id="publish",
        video="{{ params.video }}",
        privacy_level="SELF_ONLY",
        retries=2,
        retry_delay=timedelta(seconds=1),
        pre_execute=leave_process_id,
    )
