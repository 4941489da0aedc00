"""How a task that cannot go on now leaves its worker."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NoReturn

from tiktok_provider.store.rate_limits import SHORTEST_LEAVE

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator

    from tiktok_provider.publishing.deferral import DeferTask


def leave_worker(operator: "BaseOperator", pause: "DeferTask", **kept: str | None) -> NoReturn:
    """Defer until it is time; then Airflow calls the operator's ``execute_again``.

    :param kept: arguments that it gets then.
    :raises TaskDeferred: always.
    """
    from airflow.providers.standard.triggers.temporal import DateTimeTrigger

    seconds = max(pause.seconds, SHORTEST_LEAVE)
    operator.log.info("Waiting %.0f s, as %s.", seconds, pause.reason)
    moment = datetime.now(UTC) + timedelta(seconds=seconds)
    operator.defer(trigger=DateTimeTrigger(moment), method_name="execute_again", kwargs=kept)
