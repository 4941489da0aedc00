"""DAGs for the search for secrets: what may go well or badly, and one that gives away what it is told."""

import logging
import subprocess
from datetime import timedelta
from typing import Any

from airflow.providers.standard.triggers.file import FileTrigger
from airflow.sdk import DAG, BaseOperator, Context, Param

from tiktok_provider.operators.publish_video import TikTokPublishVideoOperator
from tiktok_provider.sensors.post_status import TikTokPostStatusSensor


def log_all(context: Any) -> None:  # noqa: ARG001  (Airflow's signature)
    """Undo Airflow's quieting of the HTTP client."""
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.DEBUG)


class GiveAway(BaseOperator):
    """Leaves a text wherever a task can leave something."""

    template_fields = ("shown",)

    def __init__(self, shown: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shown = shown

    def execute(self, context: Context) -> None:
        """Leave the text, then wait for what never comes."""
        self.log.info("%s", self.shown)
        context["ti"].xcom_push("shown", self.shown)
        context["task_state_store"].set("shown", self.shown)
        subprocess.run(["sh", "-c", "sleep 2; :", self.shown], check=True)
        self.defer(
            trigger=FileTrigger(filepath=f"/nowhere/{self.shown}", poke_interval=1),
            method_name="resume",
            kwargs={"shown": self.shown},
            timeout=timedelta(seconds=3),
        )


with DAG("case_give_away"):
    GiveAway(task_id="give_away", shown="{{ dag_run.conf['shown'] }}")

with DAG(
    "case_secrets",
    params={"video": Param(type="string")},
    default_args={"pre_execute": log_all},
):

    def publish(name: str) -> TikTokPublishVideoOperator:
        """Return a task with a connection of its own."""
        return TikTokPublishVideoOperator(
            task_id=name,
            video="{{ params.video }}",
            privacy_level="PUBLIC_TO_EVERYONE",
            tiktok_conn_id=f"secrets_{name}",
        )

    refreshed = publish("refreshed")
    found = TikTokPostStatusSensor(
        task_id="found",
        publish_id="{{ ti.xcom_pull('refreshed', key='publish_id') }}",
        wait_for="post_id",
        tiktok_conn_id="secrets_refreshed",
    )
    refreshed >> [found, publish("dead")]
    publish("init_refused")
    publish("upload_refused")
