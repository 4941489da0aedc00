"""What all publishing operators share: one post per post key, and no worker that waits."""

import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator

from tiktok_provider.exceptions import PostFailedError, PostTimeoutError, PostUncertainError, TikTokError
from tiktok_provider.links import POST_URL_KEY, TikTokPostLink
from tiktok_provider.operators.leave_worker import leave_worker
from tiktok_provider.publishing.parameters import OnCap, OnChangedInput, TypedParameters
from tiktok_provider.publishing.waiting.polling import Outcome, WaitFor, Watch, result_of
from tiktok_provider.publishing.waiting.result import PostResult, recorded_result, video_url
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


class TikTokPublishingOperator(TypedParameters, BaseOperator):
    """Base of the publishing operators; see ``TikTokPublishVideoOperator`` for the parameters.

    A new kind of post is a subclass with its own parameters that builds its ``request``.

    What imports the HTTP client is imported inside the methods, so that parsing a DAG does not pay for it.
    """

    template_fields: Sequence[str] = ("post_key", "tiktok_conn_id")
    operator_extra_links = (TikTokPostLink(),)
    ui_color = "#fde8ee"

    parameter_types: ClassVar[Mapping[str, Any]] = {
        "post_key": str | None,
        "on_changed_input": OnChangedInput,
        "on_cap": OnCap,
        "wait": bool,
        "wait_for_post_id": bool,
        "deferrable": bool,
        "timeout": timedelta | int | float,
        "tiktok_conn_id": str,
    }

    def __init__(
        self,
        *,
        post_key: str | None = None,
        on_changed_input: OnChangedInput = "warn",
        on_cap: OnCap = "wait",
        wait: bool = True,
        wait_for_post_id: bool = False,
        deferrable: bool = True,
        timeout: timedelta | float = timedelta(hours=24),
        tiktok_conn_id: str = "tiktok_default",
        retries: int | None = 3,
        retry_policy: "RetryPolicy | None" = TikTokRetryPolicy(),  # noqa: B008  (it holds no state)
        **kwargs: Any,
    ) -> None:
        super().__init__(retries=retries, retry_policy=retry_policy, **kwargs)
        self.post_key = post_key
        self.on_changed_input = on_changed_input
        self.on_cap = on_cap
        self.wait = wait
        self.wait_for_post_id = wait_for_post_id
        self.deferrable = deferrable
        self.timeout = timeout
        self.tiktok_conn_id = tiktok_conn_id

    @abstractmethod
    def request(self) -> "PostRequest":
        """Return what is to be published, from parameters that are of their types."""

    def wait_for(self, request: "PostRequest") -> WaitFor:
        """Return what to wait for."""
        return request.target.wait_for

    def execute(self, context: "Context") -> PostResult:
        """Send the post unless it is on record as sent, then wait or defer."""
        return self._execute(context)

    def _execute(self, context: "Context", outage_since: str | None = None) -> PostResult:
        from tiktok_provider.hooks.tiktok import TikTokHook
        from tiktok_provider.publishing.deferral import DeferTask
        from tiktok_provider.publishing.outage import Outage

        self.check_parameters()
        outage = Outage(outage_since)
        with TikTokHook(self.tiktok_conn_id) as hook:
            while True:
                try:
                    return self._publish(context, hook)
                except DeferTask as pause:
                    outage.end()
                    self._pause(pause)
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

    def _stored_post(self, hook: "TikTokHook", context: "Context") -> "StoredPost":
        from tiktok_provider.publishing.post_key import claimant_of, origin_of, post_key_of
        from tiktok_provider.publishing.post_record import StoredPost

        key = post_key_of(self.post_key, origin_of(context))
        return StoredPost(hook.store, key, claimant_of(context))

    def _rate_limiter(self, hook: "TikTokHook", context: "Context", cap: Cap = Cap.POSTS) -> "RateLimiter":
        from tiktok_provider.publishing.post_key import claimant_of
        from tiktok_provider.publishing.rate_limit import RateLimiter

        task = claimant_of(context).task
        return RateLimiter(hook.store, task, on_cap=self.on_cap, draft=cap is Cap.DRAFTS)

    def _pause(self, pause: "DeferTask", outage_since: str | None = None) -> None:
        """Leave the worker until it is time; without deferral, wait on it."""
        if self.deferrable:
            leave_worker(self, pause, **self._rendered(), outage_since=outage_since)
        self.log.info("Waiting %.0f s on the worker, as %s.", pause.seconds, pause.reason)
        time.sleep(pause.seconds)

    def _publish(self, context: "Context", hook: "TikTokHook") -> PostResult:
        request = self.request()
        sent = self._send(context, hook, request)
        # The link and other readers of XComs find these before the task defers.
        context["ti"].xcom_push("publish_id", sent.record.publish_id)
        context["ti"].xcom_push(POST_URL_KEY, sent.record.post_url or "")
        return self._wait(context, hook, sent, self.wait_for(request))

    def _send(self, context: "Context", hook: "TikTokHook", request: "PostRequest") -> "Sent":
        from tiktok_provider.publishing.post_key import origin_of
        from tiktok_provider.publishing.publisher import Publisher
        from tiktok_provider.publishing.session import PublishingSession

        limiter = self._rate_limiter(hook, context, request.target.cap)
        session = PublishingSession(hook, self._stored_post(hook, context), limiter, request)
        return Publisher(session, origin_of(context), self.on_changed_input).publish()

    def _wait(self, context: "Context", hook: "TikTokHook", sent: "Sent", wait_for: WaitFor) -> PostResult:
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
        from tiktok_provider.publishing.waiting.uncertain import uncertain_post

        record = self._record(self._stored_post(hook, context), outcome)
        if outcome.kind != "done" and record.state == PostState.OUT:
            # A person, another task or a later attempt knows better than this wait.
            return self._result(context, record, reused=True)
        if outcome.kind in ("failed", "incomplete") and record.publish_id != outcome.publish_id:
            raise DeferTask(0.0, f"another attempt has followed {outcome.publish_id}")
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
        page = record.profile_url
        post_outcome = post_outcome_of(outcome, lambda post_id: video_url(page, post_id) if page else None)
        return stored_post.record_outcome(post_outcome) if post_outcome else record

    def _record_cap(self, hook: "TikTokHook", context: "Context", error: PostFailedError) -> None:
        """A cap can show as a fail reason, too: then the account is closed, and the next attempt comes later."""
        from tiktok_provider.publishing.rate_limit import CAP_OF_CODE

        if error.fail_reason in CAP_OF_CODE:
            self._rate_limiter(hook, context).cap_reached(error.fail_reason)

    def _result(self, context: "Context", record: PostRecord, *, reused: bool) -> PostResult:
        result = recorded_result(record, reused=reused)
        context["ti"].xcom_push(POST_URL_KEY, result["post_url"] or "")
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
