"""What ``airflow tiktok posts``, ``resolve`` and ``forget`` do, step by step."""

import sys
import textwrap
from argparse import Namespace
from collections.abc import Collection, Mapping, Sequence

from airflow.utils.platform import getuser

from tiktok_provider.cli.account_commands import closed_until
from tiktok_provider.cli.post_address import post_in
from tiktok_provider.cli.post_refresh import refresh
from tiktok_provider.cli.terminal import finish, report
from tiktok_provider.database.posts.service import PostService
from tiktok_provider.database.rate_limits.service import RateLimitService
from tiktok_provider.exceptions import TikTokError
from tiktok_provider.store.errors import no_record
from tiktok_provider.store.posts import PostRecord, PostState

Row = Mapping[str, object]

_WHAT_REMAINS = {
    PostState.OUT: "On TikTok it stays out{link}: the next run of its task posts it a second time.",
    PostState.IN_INBOX: "It stays in the creator's inbox: the next run of its task sends it a second time.",
}
_COLUMNS = (
    *("conn_id", "username", "post_key", "kind", "source", "state", "attempt", "publish_id"),
    *("post_ids", "post_url", "created_at", "updated_at", "fail_reason", "resolved_by"),
)
# Characters of a caption or a file's place in a table.
_WIDTH = 32
# What a closed account keeps from being sent.
_UNSENT = (PostState.CLAIMED, PostState.INTENDED, PostState.FAILED)
# Refused without a question; the store's error says why.
_NEVER_FORGOTTEN = (PostState.UNCERTAIN, PostState.FINISHING)


class NotConfirmedError(TikTokError):
    """A person did not agree. Nothing was changed."""


def posts(args: Namespace) -> Sequence[Row]:
    """Return the posts on record, the last changed first; says so if there are more."""
    if args.refresh:
        refresh(args)
    state = PostState(args.state) if args.state else None
    # One more, to know whether there are more.
    work = PostService().posts(
        conn_id=args.conn_id,
        state=state,
        dag_id=args.dag_id,
        since=args.since,
        until=args.until,
        limit=args.limit + 1,
    )
    found = finish(work)
    if len(found) > args.limit:
        report(f"These are the last {args.limit} only: raise --limit for more.")
    _report_closures({record.conn_id for record in found if record.state in _UNSENT})
    return [row(record, args.output) for record in found[: args.limit]]


def resolve(args: Namespace) -> Row:
    """Decide an uncertain post by what a person has seen, and report what comes next.

    :raises PostAddressError: what is behind ``--posted`` is no post of this account.
    :raises PostStateError: the post is not uncertain, or not on record.
    """
    store = PostService()
    post_id = post_url = None
    if args.posted:
        post_id, post_url = post_in(args.posted, _look(store, args))
    work = store.resolve(
        args.conn_id,
        args.post_key,
        posted=not args.not_posted,
        actor=getuser(),
        post_id=post_id,
        post_url=post_url,
    )
    record = finish(work)
    comes_next = "posts it again" if args.not_posted else "returns this post and sends nothing"
    report(f"Clear {_task(record)} now: it {comes_next}.")
    return row(record, args.output)


def forget(args: Namespace) -> Row:
    """Delete a record, after a question, and return what it was.

    :raises NotConfirmedError: the person did not agree, or the record has changed meanwhile.
    :raises PostStateError: the post is under way or uncertain, or not on record.
    """
    store = PostService()
    record = _look(store, args)
    if record.state not in _NEVER_FORGOTTEN:
        link = f" ({record.post_url})" if record.post_url else ""
        remains = _WHAT_REMAINS.get(record.state, "The next run of its task posts it.")
        report(
            f"Post {record.post_key!r} of {_account(record)} is '{record.state}'. {remains.format(link=link)}"
        )
        if not args.yes:
            _ask()
        _refuse_changes(record, _look(store, args))
    return row(finish(store.forget(args.conn_id, args.post_key, actor=getuser())), args.output)


def row(record: PostRecord, output: str) -> Row:
    """Return the columns of a post: all for programs, one line for pipes, few for terminals."""
    if output == "table":
        return _block(record)
    return _line(record) if output == "plain" else _full(record)


def media_of(record: PostRecord) -> str:
    """Return what the media of a post are known by."""
    return record.location or record.fingerprint


def _report_closures(conn_ids: Collection[str]) -> None:
    """Say of accounts that have posts to send what keeps them."""
    for closure in finish(RateLimitService().closures()):
        if closure.conn_id in conn_ids:
            report(
                f"Account {closure.conn_id} is {closed_until(closure)}."
                f" If TikTok has reopened it: airflow tiktok reopen {closure.conn_id}"
            )


def _caption(record: PostRecord) -> str:
    return str(record.content.get("title") or "")


def _full(record: PostRecord) -> Row:
    columns = {name: getattr(record, name) for name in _COLUMNS}
    columns |= {"caption": _caption(record), "media": media_of(record)}
    origin = {name: record.origin.get(name, "") for name in ("dag_id", "run", "task_id", "map_index")}
    return {**columns, **origin}


def _line(record: PostRecord) -> Row:
    return {
        "account": _account(record),
        "post_key": record.post_key,
        "caption": _caption(record),
        "media": media_of(record),
        "from": " / ".join(_origin(record.origin)),
        "state": record.state,
        "publish_id": record.publish_id,
        "post": record.post_url or record.post_ids,
        "attempt": record.attempt,
        "updated_at": record.updated_at,
        "fail_reason": record.fail_reason,
    }


def _block(record: PostRecord) -> Row:
    """Few columns, so that keys, ids and links stay whole, to be copied, on a terminal of 145 characters."""
    resolved = f"resolved by {record.resolved_by}" if record.resolved_by else ""
    columns = {
        "post": (
            _account(record),
            textwrap.shorten(_caption(record), _WIDTH, placeholder="..."),
            _end_of(media_of(record)),
            record.post_key,
        ),
        "from": _origin(record.origin),
        "state": (
            record.state,
            f"attempt {record.attempt}",
            resolved,
            f"{record.updated_at:%Y-%m-%d %H:%M:%S} UTC",
        ),
        "at_tiktok": (record.publish_id, record.post_url or ", ".join(record.post_ids), record.fail_reason),
    }
    return {name: "\n".join(line for line in lines if line) for name, lines in columns.items()}


def _end_of(place: str) -> str:
    """Return the end of a file's place, where its name is."""
    return place if len(place) <= _WIDTH else f"...{place[3 - _WIDTH :]}"


def _look(store: PostService, args: Namespace) -> PostRecord:
    record = finish(store.look(args.conn_id, args.post_key))
    if record is None:
        raise no_record(args.conn_id, args.post_key)
    return record


def _ask() -> None:
    report("Forget it? Type y and press Enter:")
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise NotConfirmedError("Nothing was forgotten.")


def _refuse_changes(seen: PostRecord, found: PostRecord) -> None:
    """Refuse to delete a record that has changed: a post that came out meanwhile would be posted twice."""
    if (seen.generation, seen.state) != (found.generation, found.state):
        raise NotConfirmedError(
            f"A task has claimed the post meanwhile, it is '{found.state}' now.\nNothing was forgotten: begin again."
        )


def _account(record: PostRecord) -> str:
    return f"{record.conn_id} @{record.username}" if record.username else record.conn_id


def _task(record: PostRecord) -> str:
    origin = record.origin
    if "task_id" not in origin:
        return "its task"
    return f"task {origin['task_id']!r} of DAG {origin.get('dag_id')!r}, {origin.get('run')}"


def _origin(origin: Mapping[str, str]) -> Sequence[str]:
    index = origin.get("map_index", "-1")
    task = origin.get("task_id", "") + ("" if index == "-1" else f"[{index}]")
    return [part for part in (origin.get("dag_id"), origin.get("run"), task) if part]
