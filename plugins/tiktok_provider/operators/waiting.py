"""The half of a publishing task that comes after the last byte: wait for TikTok, record how it ends, return it."""

import logging
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import AssetAlias

from tiktok_provider import metrics
from tiktok_provider.assets import POSTS, event_of, posts_asset
from tiktok_provider.error_table import UPLOAD_INCOMPLETE
from tiktok_provider.exceptions import PostFailedError, PostTimeoutError, PostUncertainError
from tiktok_provider.links import show_post
from tiktok_provider.operators.lineage import keep_result
from tiktok_provider.publishing.waiting.polling import Outcome, WaitFor, Watch, result_of
from tiktok_provider.publishing.waiting.result import PostResult, post_page, recorded_result
from tiktok_provider.store.posts import PostRecord, PostState

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, Context

    from tiktok_provider.hooks.tiktok import TikTokHook
    from tiktok_provider.publishing.post_record import StoredPost
    from tiktok_provider.publishing.publisher import Sent
    from tiktok_provider.publishing.rate_limit import RateLimiter
    from tiktok_provider.publishing.waiting.worker_poller import WorkerPoller

log = logging.getLogger(__name__)


class PostWait:
    """Waits for one post in one task.

    What imports the HTTP client is imported inside the methods, so that parsing a DAG does not pay for it.

    :param operator: the task, for its log and its link.
    :param stored_post: the post's record.
    :param rate_limiter: of the account.
    :param clean_up: removes what was there for TikTok to fetch.
    """

    def __init__(
        self,
        operator: "BaseOperator",
        context: "Context",
        hook: "TikTokHook",
        stored_post: "StoredPost",
        rate_limiter: "RateLimiter",
        clean_up: Callable[[PostRecord], None],
    ) -> None:
        self._operator = operator
        self._context = context
        self._hook = hook
        self._stored_post = stored_post
        self._rate_limiter = rate_limiter
        self._clean_up = clean_up

    def defer(self, account: str, watch: Watch, sent: "Sent", /, **kept: str | None) -> NoReturn:
        """Wait in the triggerer; then Airflow calls ``execute_complete``.

        :param account: its connection id.
        :param kept: arguments that ``execute_complete`` gets.
        :raises TaskDeferred: always.
        """
        from tiktok_provider.publishing.deferral import waiting_sentence
        from tiktok_provider.triggers.post_status import deferral

        self._operator.log.info("%s", waiting_sentence(watch.publish_id, watch.deadline - time.time()))
        also = {"reused": sent.reused, "waited": _is_open(sent)}
        self._operator.defer(**deferral(account, watch), kwargs={**also, **kept})

    def on_worker(self, sent: "Sent", watch: Watch) -> PostResult:
        """Wait on the worker, which keeps its slot."""
        return self.finish(self._poller(watch).wait(), reused=sent.reused, waited=_is_open(sent))

    def ask_once(self, sent: "Sent", watch: Watch) -> PostResult:
        """Return a post without waiting for it; what an earlier try has sent may have ended in any way since."""
        if not sent.reused or sent.record.state == PostState.OUT:
            return self.result(sent.record, reused=sent.reused)
        from tiktok_provider.publishing.waiting.outcome_to_record import is_final
        from tiktok_provider.publishing.waiting.uncertain import uncertain_post

        step = self._poller(watch).ask()
        if isinstance(step, Outcome) and is_final(step):
            return self.finish(step, reused=True, waited=True)
        if sent.record.state == PostState.IN_INBOX:
            return self.finish(Outcome(str(sent.record.publish_id), "inbox"), reused=True, waited=False)
        if sent.record.state == PostState.UNCERTAIN:
            raise uncertain_post(
                self._hook, sent.record, "TikTok has not said how it ends, or could not be asked now."
            )
        return self.result(sent.record, reused=True)

    def finish(self, outcome: Outcome, *, reused: bool, waited: bool) -> PostResult:
        """Record how the wait has ended, and return the post.

        :param waited: whether the post was not out yet when the wait began.
        :raises DeferTask: another attempt has followed the one that was waited for.
        :raises PostFailedError: TikTok reports FAILED.
        :raises PostInInboxError: it landed in the creator's inbox.
        :raises PostUncertainError: how it ends cannot be known.
        """
        from tiktok_provider.publishing.deferral import DeferTask
        from tiktok_provider.publishing.waiting.late_ids import ask_for_late_ids
        from tiktok_provider.publishing.waiting.outcome_to_record import is_final
        from tiktok_provider.publishing.waiting.uncertain import uncertain_post

        record = self._record(outcome)
        _count(record, outcome)
        if is_final(outcome):
            self._clean_up(record)
        if outcome.kind != "done" and record.state == PostState.OUT:
            # A person, another task or a later attempt knows better than this wait.
            return self.result(record, reused=True, waited=waited)
        if outcome.kind in ("failed", "incomplete") and record.publish_id != outcome.publish_id:
            raise DeferTask(0.0, "another attempt has followed this one")
        try:
            result_of(outcome)
        except PostFailedError as error:
            self._record_cap(error)
            raise
        except (PostTimeoutError, PostUncertainError) as error:
            if record.state != PostState.UNCERTAIN:
                # The question was refused, which says nothing of the post: there is nothing to resolve.
                raise
            raise uncertain_post(self._hook, record, str(error)) from error
        ask_for_late_ids(self._hook, self._stored_post.claimant.task)
        return self.result(record, reused=reused, waited=waited)

    def result(self, record: PostRecord, *, reused: bool, waited: bool = False) -> PostResult:
        """Return the value of the task, and send its event."""
        self._send_event(record, waited=waited)
        result = recorded_result(record, reused=reused)
        keep_result(self._operator, result)
        show_post(self._operator, self._context, result["post_url"])
        self._operator.log.info(
            "%s is %s: %s", record.publish_id, result["status"], result["post_url"] or "no public id"
        )
        if record.state == PostState.IN_INBOX:
            log.info(
                "The creator finishes it in the TikTok app: a notification under Inbox (not Drafts) leads there."
            )
        return result

    def _poller(self, watch: Watch) -> "WorkerPoller":
        from tiktok_provider.publishing.waiting.worker_poller import WorkerPoller

        return WorkerPoller(self._hook, self._rate_limiter, watch)

    def _record(self, outcome: Outcome) -> PostRecord:
        from tiktok_provider.publishing.waiting.outcome_to_record import post_outcome_of

        record = self._stored_post.read_existing()
        post_outcome = post_outcome_of(outcome, partial(post_page, record.profile_url, kind=record.kind))
        return self._stored_post.record_outcome(post_outcome) if post_outcome else record

    def _send_event(self, record: PostRecord, *, waited: bool) -> None:
        """Send the event of a post that is out, once, if the task has the outlet; the store sends later ones."""
        alias = next(
            (out for out in self._operator.outlets if isinstance(out, AssetAlias) and out.name == POSTS), None
        )
        claimant = self._stored_post.claimant
        if alias is None or record.announced_by not in ("", claimant.try_id):
            return
        if self._stored_post.announce(waited=waited) and record.state == PostState.OUT:
            extra: dict[str, Any] = {**event_of(record, late=False)}
            self._context["outlet_events"][alias].add(posts_asset(), extra=extra)

    def _record_cap(self, error: PostFailedError) -> None:
        """A cap can show as a fail reason, too: then the account is closed, and the next attempt comes later."""
        from tiktok_provider.publishing.rate_limit import CAP_OF_CODE

        if error.fail_reason in CAP_OF_CODE:
            self._rate_limiter.cap_reached(error.fail_reason)


def _count(record: PostRecord, outcome: Outcome) -> None:
    """Count how a wait has ended; for people who look after many accounts."""
    if record.finishing_at is not None:
        metrics.time_taken(metrics.WAITING_TIME, time.time() - record.finishing_at.timestamp())
    if outcome.kind == "done":
        metrics.count(metrics.POSTS)
    elif outcome.kind in ("failed", "incomplete"):
        metrics.count(
            metrics.POSTS_FAILED, detail=str(outcome.status.get("fail_reason") or UPLOAD_INCOMPLETE)
        )
    elif record.state == PostState.UNCERTAIN:
        metrics.count(metrics.POSTS_UNCERTAIN)


def _is_open(sent: "Sent") -> bool:
    return sent.record.state != PostState.OUT


def watch_for(
    sent: "Sent", wait_for: WaitFor, timeout: timedelta | float, id_patience: float | None = None
) -> Watch:
    """Return what to wait for. A post that another try has sent is waited for once more in full, but asked for as
    rarely as its age deserves.

    :param timeout: how long, from the last byte.
    :param id_patience: see ``Watch``.
    """
    now, record, reused = time.time(), sent.record, sent.reused
    # Of what this try has sent, the last byte has just left, though an earlier try may have recorded it.
    sent_at = record.finishing_at.timestamp() if reused and record.finishing_at else now
    in_full = reused and record.state != PostState.OUT
    deadline = (now if in_full else sent_at) + seconds(timeout)
    # Once TikTok has confirmed the last byte, no status can say any more that bytes are missing.
    size = None if record.sent_bytes == record.size else record.size
    watch = Watch(str(record.publish_id), wait_for, sent_at, deadline, size, record.post_key, id_patience)
    return watch.once_out(record.out_at.timestamp()) if record.out_at else watch


def has_all(record: PostRecord, wait_for: WaitFor) -> bool:
    """Whether there is nothing left to wait for; only TikTok can say more about an attempt of its own."""
    if wait_for == "inbox" and record.state == PostState.IN_INBOX:
        return True
    if record.state != PostState.OUT:
        return False
    return bool(record.post_ids) or wait_for != "post_id" or bool(record.resolved_by)


def seconds(duration: timedelta | float) -> float:
    """Return a duration that may be a number of seconds already."""
    return duration.total_seconds() if isinstance(duration, timedelta) else float(duration)
