"""Wait for a post that another task has started."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseSensorOperator, PokeReturnValue
from airflow.sdk.exceptions import AirflowRescheduleException, AirflowSensorTimeout, AirflowSkipException

from tiktok_provider.exceptions import FewFrames, PostFailedError, PostTimeoutError, Retry
from tiktok_provider.links import TikTokPostLink, show_post
from tiktok_provider.publishing.parameters import TypedParameters
from tiktok_provider.publishing.waiting.polling import (
    Outcome,
    PollAgain,
    WaitFor,
    Watch,
    result_of,
)
from tiktok_provider.publishing.waiting.result import PostResult, post_result
from tiktok_provider.retry import TikTokRetryPolicy

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.definitions.retry_policy import RetryPolicy

    from tiktok_provider.hooks.tiktok import TikTokHook


class TikTokPostStatusSensor(TypedParameters, BaseSensorOperator):
    """Waits until a post has got as far as ``wait_for`` says, and returns the same dict as the publishing operators.

    It asks once on the worker, so that a post that is ready needs no triggerer, then waits in the triggerer. Asking
    changes nothing: retries and clears are safe.

    Source: https://developers.tiktok.com/doc/content-posting-api-reference-get-video-status

    :param publish_id: TikTok's id of the attempt, as a publishing task returns it. Templated, and may be mapped.
    :param wait_for: ``complete``: published; ``post_id``: published, and TikTok has given the public id, which comes
        after moderation; ``inbox``: a draft is in the creator's inbox; ``posted``: the creator has posted the draft.
    :param deferrable: wait in the triggerer. With False Airflow's own sensor parameters ``poke_interval`` and
        ``mode`` apply.
    :param timeout: how long to wait, as a ``timedelta`` or in seconds; longer fails the task, or skips it with
        ``soft_fail``. Default: ``[sensors] default_timeout``, a week.
    :param tiktok_conn_id: the Connection of the account that the post belongs to. Templated.
    :param retry_policy: default: what the errors themselves say, see ``tiktok_provider.retry``.
    :raises PostFailedError: TikTok reports FAILED.
    :raises PostInInboxError: the post landed in the inbox, and ``wait_for`` wants more.
    :raises PostUncertainError: TikTok no longer says how it ended.
    :raises AirflowSensorTimeout: at the end of ``timeout``.
    """

    template_fields: Sequence[str] = ("publish_id", "wait_for", "tiktok_conn_id")
    operator_extra_links = (TikTokPostLink(),)
    ui_color = "#fde8ee"
    parameter_types: ClassVar[Mapping[str, Any]] = {
        "publish_id": str,
        "wait_for": WaitFor,
        "deferrable": bool,
        # Airflow's own; it checks the others.
        "soft_fail": bool,
        "never_fail": bool,
        "silent_fail": bool,
        "exponential_backoff": bool,
        "timeout": timedelta | int | float,
        "tiktok_conn_id": str,
    }

    def __init__(
        self,
        *,
        publish_id: str,
        wait_for: WaitFor = "complete",
        deferrable: bool = True,
        tiktok_conn_id: str = "tiktok_default",
        retries: int | None = 3,
        retry_policy: "RetryPolicy | None" = TikTokRetryPolicy(),  # noqa: B008  (it holds no state)
        **kwargs: Any,
    ) -> None:
        super().__init__(retries=retries, retry_policy=retry_policy, **kwargs)
        self.publish_id = publish_id
        self.wait_for = wait_for
        self.deferrable = deferrable
        self.tiktok_conn_id = tiktok_conn_id
        self.check_literals()

    def execute(self, context: "Context") -> Any:
        """Ask once, then wait in the triggerer or as Airflow's sensors do."""
        with FewFrames(), self._skipping():
            self.check_parameters()
            if not self.deferrable:
                return super().execute(context)
            watch = self._watch(time.time())
            with self._hook() as hook:
                step = self._ask(context, hook, watch)
                if not isinstance(step, PollAgain):
                    return self._finish(context, hook, step)
            return self._defer(watch)

    def poke(self, context: "Context") -> PokeReturnValue:
        """Ask once; Airflow's own sensor loop decides when to ask again."""
        watch = self._watch(self._first_poke(context))
        with FewFrames(), self._hook() as hook:
            step = self._ask(context, hook, watch)
            if isinstance(step, PollAgain):
                return PokeReturnValue(is_done=False)
            return PokeReturnValue(is_done=True, xcom_value=self._finish(context, hook, step))

    def execute_complete(self, context: "Context", event: Any) -> PostResult:
        """Go on with the trigger's event."""
        with FewFrames(), self._skipping(), self._hook() as hook:
            return self._finish(context, hook, Outcome.from_event(event))

    @contextmanager
    def _skipping(self) -> Iterator[None]:
        """Honour ``soft_fail`` and ``never_fail``, which Airflow's sensors do for Airflow's own exceptions only."""
        try:
            yield
        except (AirflowSkipException, AirflowRescheduleException):
            # Signals to Airflow, no failures.
            raise
        except Exception as error:
            if self.never_fail or (self.soft_fail and isinstance(error, AirflowSensorTimeout)):
                raise AirflowSkipException(f"Skipped instead of failed: {error}") from error
            raise

    def _hook(self) -> "TikTokHook":
        from tiktok_provider.hooks.tiktok import TikTokHook

        return TikTokHook(self.tiktok_conn_id)

    def _defer(self, watch: Watch) -> None:
        # The trigger brings the HTTP client along, which parsing a DAG need not pay for.
        from tiktok_provider.publishing.deferral import waiting_sentence
        from tiktok_provider.triggers.post_status import deferral

        self.log.info("%s", waiting_sentence(watch.publish_id, watch.deadline - time.time()))
        self.defer(**deferral(self.tiktok_conn_id, watch))

    def _first_poke(self, context: "Context") -> float:
        """Return when this sensor began to ask, in seconds since the epoch; a rescheduled one is a new process."""
        rescheduled = context["ti"].get_first_reschedule_date(context) if self.reschedule else None
        if rescheduled is not None:
            return float(rescheduled.timestamp())
        self._began = getattr(self, "_began", time.time())
        return self._began

    def _watch(self, began: float) -> Watch:
        return Watch(self.publish_id, self.wait_for, began, began + self.timeout)

    def _ask(self, context: "Context", hook: "TikTokHook", watch: Watch) -> PollAgain | Outcome:
        from tiktok_provider.publishing.post_key import claimant_of
        from tiktok_provider.publishing.rate_limit import RateLimiter
        from tiktok_provider.publishing.waiting.worker_poller import WorkerPoller

        rate_limiter = RateLimiter(hook.store, claimant_of(context).task)
        return WorkerPoller(hook, rate_limiter, watch).ask()

    def _finish(self, context: "Context", hook: "TikTokHook", outcome: Outcome) -> PostResult:
        from tiktok_provider.publishing.post_key import claimant_of
        from tiktok_provider.publishing.waiting.late_ids import ask_for_late_ids

        try:
            status = result_of(outcome)
        except PostTimeoutError as error:
            # Airflow's own exception, as every sensor raises it.
            raise AirflowSensorTimeout(str(error)) from None
        except PostFailedError as error:
            # A new attempt may help, but that is another task's; of this one TikTok will say the same again.
            error.retry = Retry.NEVER
            raise
        ask_for_late_ids(hook, claimant_of(context).task)
        username = hook.account.username
        profile_url = hook.account.page_url(f"/@{username}") if username else None
        result = post_result(outcome.publish_id, status, conn_id=self.tiktok_conn_id, profile_url=profile_url)
        show_post(self, context, result["post_url"])
        return result
