"""Two posts where the DAGs mean one, or one where they mean two: what is said of it, and the ways out."""

from collections.abc import Mapping
from shlex import quote

from tiktok_provider.store.errors import PostConflictError
from tiktok_provider.store.posts import PostRecord


def task_of(origin: Mapping[str, str]) -> str:
    """Name the task that a post comes from, and its slot."""
    if "task_id" not in origin:
        return "a task that is not on record"
    return f"task {origin['task_id']!r} of DAG {origin.get('dag_id')!r}, {origin.get('run')}"


def forget_command(record: PostRecord) -> str:
    """Return the command after which the post key can be used for another post."""
    return f"airflow tiktok forget {quote(record.conn_id)} {quote(record.post_key)}"


def key_conflict(record: PostRecord, location: str, origin: Mapping[str, str]) -> PostConflictError:
    """Return the error of a request whose post key is that of another post.

    :param location: of the media that are asked for.
    :param origin: of the request.
    """
    return PostConflictError(
        f"{_key(record)} is the key of another post. Nothing was sent.\n"
        f"On record: {_described(record)}.\n"
        f"Asked for: {location}, {task_of(origin)}.\n"
        "Three ways out, then clear this task:\n"
        "1. This is a post of its own: give its task another post_key, or none.\n"
        '2. Both are the same post: on_post_key_conflict="reuse" returns the one on record.\n'
        f"3. This one shall take its place: {forget_command(record)}\n"
        "   (what is out stays out until its owner deletes it in TikTok)."
    )


def duplicate(record: PostRecord) -> PostConflictError:
    """Return the error of a request whose media are on record as another post of the same slot."""
    return PostConflictError(
        "This video or these photos are another post of this slot. Nothing was sent.\n"
        f"On record: {_described(record)}, post key {record.post_key!r}.\n"
        "Three ways out, then clear this task:\n"
        "1. Both are the same post, as after a DAG or a task was renamed:\n"
        f'   post_key={record.post_key!r} and on_post_key_conflict="reuse" return the one on record.\n'
        "2. Both shall be out: allow_duplicate=True.\n"
        f"3. This one shall take its place: {forget_command(record)}\n"
        "   (what is out stays out until its owner deletes it in TikTok)."
    )


def _key(record: PostRecord) -> str:
    shown = record.post_key if len(record.post_key) <= 24 else f"{record.post_key[:23]}…"
    return f"post_key {shown!r}"


def _described(record: PostRecord) -> str:
    link = f", {record.post_url}" if record.post_url else ""
    return f"{record.location or record.fingerprint}, {task_of(record.origin)}, {record.state}{link}"
