"""How a task that cannot go on now leaves its worker."""

from datetime import timedelta
from typing import TYPE_CHECKING, NoReturn

from tiktok_provider.publishing.deferral import DeferTask
from tiktok_provider.store.clock import utc_now
from tiktok_provider.store.rate_limits import SHORTEST_LEAVE

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator


def leave_worker(operator: "BaseOperator", pause: DeferTask, account: str, **kept: str | None) -> NoReturn:
    """Defer until it is time, or until a closed account is reopened; then Airflow calls ``execute_again``.

    :param account: its connection id.
    :param kept: arguments that ``execute_again`` gets.
    :raises TaskDeferred: always.
    """
    from airflow.providers.standard.triggers.temporal import DateTimeTrigger

    from tiktok_provider.triggers.cap import TikTokCapTrigger

    seconds = max(pause.seconds, SHORTEST_LEAVE)
    now = utc_now()
    operator.log.info("%s", DeferTask(seconds, pause.reason).sentence(now))
    moment = now + timedelta(seconds=seconds)
    trigger = (
        TikTokCapTrigger(account, pause.cap, moment.timestamp()) if pause.cap else DateTimeTrigger(moment)
    )
    operator.defer(trigger=trigger, method_name="execute_again", kwargs=kept)
