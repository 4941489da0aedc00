"""Task instances with all their tries, run as Airflow runs them, but without Airflow's own processes."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

from airflow import settings
from airflow.models.crypto import get_fernet
from airflow.sdk import Context
from airflow.sdk.definitions.retry_policy import RetryAction
from airflow.sdk.exceptions import AirflowFailException

from tiktok_provider.operators.publish_video import TikTokPublishVideoOperator
from tiktok_provider.publishing.waiting import polling


@dataclass(frozen=True)
class Job:
    """One task instance, with the operator's own number of retries."""

    conn_id: str
    video: str
    run_id: str


@dataclass(frozen=True)
class Ended:
    """How it ended.

    :param error: of the last try; empty after a success.
    """

    job: Job
    state: str
    tries: int
    error: str = ""


def use_environment(environment: Mapping[str, str], speed: float) -> None:
    """Make this process like a worker's: Connections are there, the store answers over HTTP.

    :param environment: Airflow's configuration.
    :param speed: how much faster than real time all pauses go by.
    """
    os.environ.update(environment)
    get_fernet.cache_clear()
    settings.dispose_orm(do_log=False)
    settings.configure_vars()
    settings.configure_orm()
    # Airflow puts this in the place of the address where workers run.
    os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = "airflow-db-not-allowed:///"
    really = time.sleep

    def sleep(seconds: float, /) -> None:
        really(seconds / speed)

    time.sleep = sleep  # type: ignore[assignment]
    # How long TikTok may be silent about missing bytes is no pause, but a look at the clock.
    polling.UPLOAD_IS_OVER /= speed


def run(job: Job) -> Ended:
    """Run the tries of one task instance until it has succeeded or failed for good."""
    operator = TikTokPublishVideoOperator(
        task_id="publish",
        video=job.video,
        privacy_level="PUBLIC_TO_EVERYONE",
        tiktok_conn_id=job.conn_id,
        deferrable=False,
    )
    assert operator.retries is not None
    most = operator.retries + 1
    for number in range(1, most + 1):
        try:
            operator.execute(_context(job, number))
        except Exception as error:
            if not _may_retry(operator, error, number, most):
                return Ended(job, "failed", number, f"{type(error).__name__}: {error}")
        else:
            return Ended(job, "success", number)
    raise AssertionError("the last try has no retry")


def _may_retry(operator: TikTokPublishVideoOperator, error: Exception, number: int, most: int) -> bool:
    """Decide as Airflow does, and wait."""
    if number == most or isinstance(error, AirflowFailException):
        return False
    assert operator.retry_policy is not None
    decision = operator.retry_policy.evaluate(error, number, most - 1)
    if decision.action is RetryAction.FAIL:
        return False
    delay = decision.retry_delay.total_seconds() if decision.retry_delay else 1.0
    time.sleep(delay)
    return True


@dataclass
class _TaskInstance:
    run_id: str
    try_number: int
    dag_id: str = "random_faults"
    task_id: str = "publish"
    map_index: int = -1
    id: str = field(default_factory=lambda: str(uuid4()))

    def xcom_push(self, key: str, value: Any) -> None:
        """Nobody reads it here."""


def _context(job: Job, number: int) -> Context:
    ti = _TaskInstance(job.run_id, number)
    run = SimpleNamespace(run_id=job.run_id, logical_date=None, partition_key=None)
    return cast(Context, {"ti": ti, "dag_run": run})
