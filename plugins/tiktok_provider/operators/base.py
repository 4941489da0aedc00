"""What all publishing operators share: one post per post key, and no worker that waits."""

import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from tiktok_provider.exceptions import (
    FewFrames,
    InvalidInputError,
    PostFailedError,
    PostTimeoutError,
    PostUncertainError,
    TikTokError,
    TooLateError,
)
from tiktok_provider.links import TikTokPostLink, show_post
from tiktok_provider.operators.leave_worker import leave_worker
from tiktok_provider.publishing.parameters import (
    OnCap,
    OnChangedInput,
    OnLate,
    OnPostKeyConflict,
    TypedParameters,
)
from tiktok_provider.publishing.waiting.polling import Outcome, WaitFor, Watch, result_of
from tiktok_provider.publishing.waiting.result import PostResult, post_page, recorded_result
from tiktok_provider.retry import TikTokRetryPolicy
from tiktok_provider.store.posts import PostRecord, PostState
from tiktok_provider.store.rate_limits import Cap

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.definitions.retry_policy import RetryPolicy

    from tiktok_provider.hooks.tiktok import TikTokHook
    from tiktok_provider.publishing.deferral import DeferTask
    from tiktok_provider.publishing.post_record import StoredPost
    from tiktok_provider.publishing.publisher import Sent
    from tiktok_provider.publishing.rate_limit import RateLimiter
    from tiktok_provider.publishing.request import PostRequest
    from tiktok_provider.publishing.waiting.worker_poller import WorkerPoller

# What Airflow keeps of a mapped task's label.
LONGEST_LABEL = 250
_ASKED_FOR = ("manual", "backfill", "operator_triggered")


# Seconds after which a task that waits on its worker looks whether its account was reopened.
_LOOK_AGAIN = 300.0


class TikTokPublishingOperator(TypedParameters, BaseOperator):
    """Base of the publishing operators; see ``TikTokPublishVideoOperator`` for the parameters.

    A new kind of post is a subclass with its own parameters that builds its ``request``.

    What imports the HTTP client is imported inside the methods, so that parsing a DAG does not pay for it.
    """

    template_fields: Sequence[str] = (
        "post_key",
        "on_changed_input",
        "on_post_key_conflict",
        "allow_duplicate",
        "on_late",
        "on_cap",
        "wait",
        "tiktok_conn_id",
    )
    operator_extra_links = (TikTokPostLink(),)
    ui_color = "#fde8ee"

    parameter_types: ClassVar[Mapping[str, Any]] = {
        "post_key": str | None,
        "on_changed_input": OnChangedInput,
        "on_post_key_conflict": OnPostKeyConflict,
        "allow_duplicate": bool,
        "max_lateness": timedelta | int | float | None,
        "on_late": OnLate,
        "on_cap": OnCap,
        "wait": bool,
        "deferrable": bool,
        "timeout": timedelta | int | float,
        "tiktok_conn_id": str,
    }

    def __init__(
        self,
        *,
        post_key: str | None = None,
        on_changed_input: OnChangedInput | str = "warn",
        on_post_key_conflict: OnPostKeyConflict | str = "fail",
        allow_duplicate: bool | str = False,
        max_lateness: timedelta | float | None = None,
        on_late: OnLate | str = "skip",
        on_cap: OnCap | str = "wait",
        wait: bool | str = True,
        deferrable: bool = True,
        timeout: timedelta | float = timedelta(hours=24),
        tiktok_conn_id: str = "tiktok_default",
        retries: int | None = 3,
        retry_policy: "RetryPolicy | None" = TikTokRetryPolicy(),  # noqa: B008  (it holds no state)
        **kwargs: Any,
    ) -> None:
        super().__init__(retries=retries, retry_policy=retry_policy, **kwargs)
        self.post_key = post_key
        self.max_lateness = max_lateness
        # Of their types once templates are rendered.
        self.on_changed_input: Any = on_changed_input
        self.on_post_key_conflict: Any = on_post_key_conflict
        self.allow_duplicate: Any = allow_duplicate
        self.on_late: Any = on_late
        self.on_cap: Any = on_cap
        self.wait: Any = wait
        self.deferrable = deferrable
        self.timeout = timeout
        self.tiktok_conn_id = tiktok_conn_id

    @abstractmethod
    def request(self) -> "PostRequest":
        """Return what is to be published, from parameters that are of their types."""

    def waits_for(self, request: "PostRequest") -> WaitFor:
        """Return what to wait for."""
        return request.target.wait_for

    def clean_up(self, record: PostRecord) -> None:
        """Remove what was there for TikTok to fetch. Called once TikTok has said how the attempt ended."""

    def execute(self, context: "Context") -> PostResult:
        """Send the post unless it is on record as sent, then wait or defer."""
        with FewFrames():
            return self._execute(context)

    def _execute(self, context: "Context", outage_since: str | None = None) -> PostResult:
        from tiktok_provider.hooks.tiktok import TikTokHook
        from tiktok_provider.publishing.deferral import DeferTask
        from tiktok_provider.publishing.outage import Outage

        outage = Outage(outage_since)
        self._label(context)
        self.check_parameters()
        with TikTokHook(self.tiktok_conn_id) as hook:
            self.post_key = self._key(context)
            while True:
                try:
                    return self._publish(context, hook)
                except DeferTask as pause:
                    outage.end()
                    self._pause(pause)
                except TooLateError as error:
                    if self.on_late == "fail":
                        raise
                    raise AirflowSkipException(str(error)) from error
                except TikTokError as error:
                    self._pause(outage.pause(error), outage.since)

    def execute_again(
        self,
        context: "Context",
        event: Any = None,  # noqa: ARG002  (Airflow's)
        *,
        post_key: str | None = None,
        tiktok_conn_id: str | None = None,
        outage_since: str | None = None,
    ) -> PostResult:
        """Go on after a deferral that was about the time alone; see ``execute_complete``.

        :param outage_since: when the outage began that the task has waited for, if it has.
        """
        self._keep_to(post_key, tiktok_conn_id)
        with FewFrames():
            return self._execute(context, outage_since)

    def execute_complete(
        self,
        context: "Context",
        event: Any,
        *,
        reused: bool = False,
        post_key: str | None = None,
        tiktok_conn_id: str | None = None,
    ) -> PostResult:
        """Go on with the trigger's event: record the outcome, and return it.

        :param post_key: as it was when the task left; templates may be rendered to something else by now.
        :param tiktok_conn_id: likewise.
        :raises PostFailedError: TikTok reports FAILED. Nothing is out; a retry makes a new attempt.
        :raises PostInInboxError: it landed in the creator's inbox.
        :raises PostUncertainError: see ``execute``.
        """
        from tiktok_provider.hooks.tiktok import TikTokHook
        from tiktok_provider.publishing.deferral import DeferTask
        from tiktok_provider.publishing.outage import Outage

        self._keep_to(post_key, tiktok_conn_id)
        outage = Outage()
        self._label(context)
        with FewFrames():
            with TikTokHook(self.tiktok_conn_id) as hook:
                try:
                    return self._finish(context, hook, Outcome.from_event(event), reused=reused)
                except DeferTask as pause:
                    self._pause(pause)
                except TikTokError as error:
                    # What the triggerer has heard is asked for once more.
                    self._pause(outage.pause(error), outage.since)
            return self._execute(context, outage.since)

    def _keep_to(self, post_key: str | None, tiktok_conn_id: str | None) -> None:
        """Keep to the post with which the task has left: its templates may be rendered to another one by now."""
        self.post_key = post_key or self.post_key
        self.tiktok_conn_id = tiktok_conn_id or self.tiktok_conn_id

    def _rendered(self) -> dict[str, str | None]:
        """Return what a task that leaves its worker needs to keep to its post."""
        return {"post_key": self.post_key, "tiktok_conn_id": self.tiktok_conn_id}

    @property
    def map_label(self) -> str:
        """What Airflow shows of a mapped task in place of its index: its media's name and its title."""
        try:
            request = self.request()
        except InvalidInputError:
            # It ends the task, and says more.
            return ""
        name = request.media.location.rpartition("/")[2]
        return " ".join(f"{name} {request.content.get('title') or ''}".split())[:LONGEST_LABEL]

    def _label(self, context: "Context") -> None:
        """Airflow takes the default of a mapped task's template from its ``partial()`` alone, so set it here."""
        map_index = context["ti"].map_index
        if map_index is not None and map_index >= 0 and not context.get("map_index_template"):
            context["map_index_template"] = "{{ task.map_label }}"

    def _stored_post(self, hook: "TikTokHook", context: "Context") -> "StoredPost":
        from tiktok_provider.publishing.post_key import claimant_of
        from tiktok_provider.publishing.post_record import StoredPost

        return StoredPost(hook.store, self._key(context), claimant_of(context))

    def _key(self, context: "Context") -> str:
        from tiktok_provider.publishing.post_key import origin_of, post_key_of

        if self.post_key is not None:
            return post_key_of(self.post_key, {})
        return post_key_of(None, origin_of(context), self.request().media.name)

    def _rate_limiter(self, hook: "TikTokHook", context: "Context", cap: Cap = Cap.POSTS) -> "RateLimiter":
        from tiktok_provider.publishing.post_key import claimant_of
        from tiktok_provider.publishing.rate_limit import RateLimiter

        task = claimant_of(context).task
        return RateLimiter(hook.store, task, on_cap=self.on_cap, draft=cap is Cap.DRAFTS)

    def _pause(self, pause: "DeferTask", outage_since: str | None = None) -> None:
        """Leave the worker until it is time; without deferral, wait on it."""
        if self.deferrable:
            leave_worker(self, pause, self.tiktok_conn_id, **self._rendered(), outage_since=outage_since)
        self.log.info("%s The task keeps its worker.", pause)
        # A person may reopen an account that a cap has closed.
        time.sleep(min(pause.seconds, _LOOK_AGAIN) if pause.cap else pause.seconds)

    def _publish(self, context: "Context", hook: "TikTokHook") -> PostResult:
        request = self.request()
        sent = self._send(context, hook, request)
        # Readers of XComs find these before the task defers.
        context["ti"].xcom_push("publish_id", sent.record.publish_id)
        show_post(self, context, sent.record.post_url)
        return self._wait(context, hook, sent, self.waits_for(request))

    def _send(self, context: "Context", hook: "TikTokHook", request: "PostRequest") -> "Sent":
        from tiktok_provider.publishing.post_key import origin_of
        from tiktok_provider.publishing.publisher import Publisher
        from tiktok_provider.publishing.session import PublishingSession

        limiter = self._rate_limiter(hook, context, request.target.cap)
        stored_post = self._stored_post(hook, context)
        session = PublishingSession(hook, stored_post, limiter, request, self.allow_duplicate)
        return Publisher(
            session,
            origin_of(context),
            on_changed_input=self.on_changed_input,
            on_post_key_conflict=self.on_post_key_conflict,
            latest=self._latest(context),
        ).publish()

    def _latest(self, context: "Context") -> datetime | None:
        """Return when the post is too late. A run that a person asks for is late by intent, and never too late."""
        run = context["dag_run"]
        if self.max_lateness is None or run.run_type in _ASKED_FOR:
            return None
        return run.run_after + timedelta(seconds=_seconds(self.max_lateness))

    def _wait(self, context: "Context", hook: "TikTokHook", sent: "Sent", wait_for: WaitFor) -> PostResult:
        from tiktok_provider.publishing.deferral import waiting_sentence
        from tiktok_provider.publishing.waiting.worker_poller import WorkerPoller
        from tiktok_provider.triggers.post_status import deferral

        if _has_all(sent.record, wait_for):
            return self._result(context, sent.record, reused=sent.reused)
        watch = self._watch(sent.record, wait_for, reused=sent.reused)
        poller = WorkerPoller(hook, self._rate_limiter(hook, context), watch)
        if not self.wait:
            return self._ask_once(context, hook, sent, poller)
        if self.deferrable:
            kept = {"reused": sent.reused, **self._rendered()}
            self.log.info("%s", waiting_sentence(watch.publish_id, watch.deadline - time.time()))
            self.defer(**deferral(self.tiktok_conn_id, watch), kwargs=kept)
        return self._finish(context, hook, poller.wait(), reused=sent.reused)

    def _ask_once(
        self, context: "Context", hook: "TikTokHook", sent: "Sent", poller: "WorkerPoller"
    ) -> PostResult:
        """Return a post without waiting for it; what an earlier try has sent may have ended in any way since."""
        if not sent.reused or sent.record.state == PostState.OUT:
            return self._result(context, sent.record, reused=sent.reused)
        from tiktok_provider.publishing.waiting.outcome_to_record import is_final
        from tiktok_provider.publishing.waiting.uncertain import uncertain_post

        step = poller.ask()
        if isinstance(step, Outcome) and is_final(step):
            return self._finish(context, hook, step, reused=True)
        if sent.record.state == PostState.IN_INBOX:
            return self._finish(context, hook, Outcome(str(sent.record.publish_id), "inbox"), reused=True)
        if sent.record.state == PostState.UNCERTAIN:
            raise uncertain_post(
                hook, sent.record, "TikTok has not said how it ends, or could not be asked now."
            )
        return self._result(context, sent.record, reused=True)

    def _watch(self, record: PostRecord, wait_for: WaitFor, *, reused: bool) -> Watch:
        """Return what the trigger waits for.

        :param reused: a post that another try has sent is waited for once more in full, but asked for as rarely as
            its age deserves.
        """
        now = time.time()
        # Of what this try has sent, the last byte has just left, though an earlier try may have recorded it.
        sent_at = record.finishing_at.timestamp() if reused and record.finishing_at else now
        in_full = reused and record.state != PostState.OUT
        deadline = (now if in_full else sent_at) + _seconds(self.timeout)
        # Once TikTok has confirmed the last byte, no status can say any more that bytes are missing.
        size = None if record.sent_bytes == record.size else record.size
        return Watch(str(record.publish_id), wait_for, sent_at, deadline, size, record.post_key)

    def _finish(
        self, context: "Context", hook: "TikTokHook", outcome: Outcome, *, reused: bool
    ) -> PostResult:
        from tiktok_provider.publishing.deferral import DeferTask
        from tiktok_provider.publishing.waiting.outcome_to_record import is_final
        from tiktok_provider.publishing.waiting.uncertain import uncertain_post

        record = self._record(self._stored_post(hook, context), outcome)
        if is_final(outcome):
            self.clean_up(record)
        if outcome.kind != "done" and record.state == PostState.OUT:
            # A person, another task or a later attempt knows better than this wait.
            return self._result(context, record, reused=True)
        if outcome.kind in ("failed", "incomplete") and record.publish_id != outcome.publish_id:
            raise DeferTask(0.0, "another attempt has followed this one")
        try:
            result_of(outcome)
        except PostFailedError as error:
            self._record_cap(hook, context, error)
            raise
        except (PostTimeoutError, PostUncertainError) as error:
            if record.state != PostState.UNCERTAIN:
                # The question was refused, which says nothing of the post: there is nothing to resolve.
                raise
            raise uncertain_post(hook, record, str(error)) from error
        return self._result(context, record, reused=reused)

    def _record(self, stored_post: "StoredPost", outcome: Outcome) -> PostRecord:
        from tiktok_provider.publishing.waiting.outcome_to_record import post_outcome_of

        record = stored_post.read_existing()
        post_outcome = post_outcome_of(outcome, partial(post_page, record.profile_url, kind=record.kind))
        return stored_post.record_outcome(post_outcome) if post_outcome else record

    def _record_cap(self, hook: "TikTokHook", context: "Context", error: PostFailedError) -> None:
        """A cap can show as a fail reason, too: then the account is closed, and the next attempt comes later."""
        from tiktok_provider.publishing.rate_limit import CAP_OF_CODE

        if error.fail_reason in CAP_OF_CODE:
            self._rate_limiter(hook, context).cap_reached(error.fail_reason)

    def _result(self, context: "Context", record: PostRecord, *, reused: bool) -> PostResult:
        result = recorded_result(record, reused=reused)
        show_post(self, context, result["post_url"])
        self.log.info(
            "%s is %s: %s", record.publish_id, result["status"], result["post_url"] or "no public id"
        )
        return result


def _has_all(record: PostRecord, wait_for: WaitFor) -> bool:
    """Whether there is nothing left to wait for; only TikTok can say more about an attempt of its own."""
    if wait_for == "inbox" and record.state == PostState.IN_INBOX:
        return True
    if record.state != PostState.OUT:
        return False
    return bool(record.post_ids) or wait_for != "post_id" or bool(record.resolved_by)


def _seconds(timeout: timedelta | float) -> float:
    return timeout.total_seconds() if isinstance(timeout, timedelta) else float(timeout)
