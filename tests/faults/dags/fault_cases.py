"""DAGs whose tasks are killed; a try follows the one before at once. And one that waits for many posts."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, Param, task
from airflow.sdk.definitions.retry_policy import RetryAction, RetryDecision

from tiktok_provider.operators.publish_video import TikTokPublishVideoOperator
from tiktok_provider.retry import TikTokRetryPolicy
from tiktok_provider.sensors.post_status import TikTokPostStatusSensor

if TYPE_CHECKING:
    from airflow.sdk import Context


class SoonRetryPolicy(TikTokRetryPolicy):
    """Decides as the default does, but waits only a second."""

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: "Context | None" = None
    ) -> RetryDecision:
        """Decide for one failure."""
        decision = super().evaluate(exception, try_number, max_tries, context)
        if decision.action is not RetryAction.RETRY:
            return decision
        return RetryDecision.retry(delay=timedelta(seconds=1), reason=decision.reason)


ALIKE: dict[str, Any] = {
    "task_id": "publish",
    "privacy_level": "PUBLIC_TO_EVERYONE",
    "tiktok_conn_id": "{{ params.conn_id }}",
    # Another run of the same cell means the same post.
    "post_key": "{{ params.conn_id }}",
    # While a component is down, several tries in a row can fail.
    "retries": 10,
    "retry_delay": timedelta(seconds=1),
    "retry_policy": SoonRetryPolicy(),
}

with DAG("fault_file", params={"conn_id": Param(type="string"), "video": Param(type="string")}):
    TikTokPublishVideoOperator(video="{{ params.video }}", **ALIKE)

with DAG("fault_url", params={"conn_id": Param(type="string"), "video_url": Param(type="string")}):
    TikTokPublishVideoOperator(video_url="{{ params.video_url }}", **ALIKE)

with DAG("fault_wait", params={"conn_id": Param(type="string"), "publish_ids": Param(type="array")}):

    @task
    def publish_ids(params: dict[str, Any] | None = None) -> list[str]:
        """Return what is waited for."""
        return list((params or {})["publish_ids"])

    TikTokPostStatusSensor.partial(task_id="wait", tiktok_conn_id="{{ params.conn_id }}", timeout=900).expand(
        publish_id=publish_ids()
    )
