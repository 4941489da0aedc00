"""What all publishing operators share: one post per post key, and no worker that waits."""

import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from tiktok_provider.exceptions import FewFrames, InvalidInputError, TikTokError, TooLateError
from tiktok_provider.links import TikTokPostLink, show_post
from tiktok_provider.operators.leave_worker import leave_worker
from tiktok_provider.operators.lineage import PostLineage
from tiktok_provider.operators.map_label import label_of, set_map_label
from tiktok_provider.operators.waiting import PostWait, has_all, seconds, watch_for
from tiktok_provider.publishing.parameters import (
    OnCap,
    OnChangedInput,
    OnLate,
    OnPostKeyConflict,
    TypedParameters,
)
from tiktok_provider.publishing.waiting.polling import Outcome, WaitFor
from tiktok_provider.publishing.waiting.result import PostResult
from tiktok_provider.retry import TikTokRetryPolicy
from tiktok_provider.store.posts import PostRecord
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

_ASKED_FOR = ("manual", "backfill", "operator_triggered")
# Seconds after which a task that waits on its worker looks whether its account was reopened.
_LOOK_AGAIN = 300.0


class TikTokPublishingOperator(PostLineage, TypedParameters, BaseOperator):
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
        "cancel_on_kill": bool,
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
        cancel_on_kill: bool = False,
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
        self.cancel_on_kill = cancel_on_kill
        self.deferrable = deferrable
        self.timeout = timeout
        self.tiktok_conn_id = tiktok_conn_id

    @abstractmethod
    def request(self) -> "PostRequest":
        """Return what is to be published, from parameters that are of their types."""

    def waits_for(self, request: "PostRequest") -> WaitFor:
        """Return what to wait for."""
        return request.target.wait_for

    @property
    def id_patience(self) -> float | None:
        """Seconds for which a post that is out is waited for because of its id; None: to the deadline."""
        return None

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
        set_map_label(context)
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
        waited: bool = True,
        post_key: str | None = None,
        tiktok_conn_id: str | None = None,
    ) -> PostResult:
        """Go on with the trigger's event: record the outcome, and return it.

        :param waited: whether the post was not out yet when the task left.
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
        set_map_label(context)
        with FewFrames():
            with TikTokHook(self.tiktok_conn_id) as hook:
                try:
                    return self._waiting(context, hook).finish(
                        Outcome.from_event(event), reused=reused, waited=waited
                    )
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
            return label_of(self.request())
        except InvalidInputError:
            # It ends the task, and says more.
            return ""

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
        from tiktok_provider.publishing.waiting.pending_drafts import finish_pending_drafts

        task = claimant_of(context).task
        return RateLimiter(
            hook.store,
            task,
            on_cap=self.on_cap,
            draft=cap is Cap.DRAFTS,
            finish_drafts=partial(finish_pending_drafts, hook, task),
        )

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
        return run.run_after + timedelta(seconds=seconds(self.max_lateness))

    def _wait(self, context: "Context", hook: "TikTokHook", sent: "Sent", wait_for: WaitFor) -> PostResult:
        from tiktok_provider.publishing.post_key import claimant_of

        waiting = self._waiting(context, hook)
        if has_all(sent.record, wait_for):
            return waiting.result(sent.record, reused=sent.reused)
        watch = watch_for(sent, wait_for, self.timeout, self.id_patience)
        if not self.wait:
            return waiting.ask_once(sent, watch)
        if self.deferrable:
            if self.cancel_on_kill and sent.record.source == "url":
                watch = replace(watch, cancel_for=claimant_of(context).try_id)
            waiting.defer(self.tiktok_conn_id, watch, sent, **self._rendered())
        return waiting.on_worker(sent, watch)

    def _waiting(self, context: "Context", hook: "TikTokHook") -> PostWait:
        stored_post = self._stored_post(hook, context)
        return PostWait(self, context, hook, stored_post, self._rate_limiter(hook, context), self.clean_up)
