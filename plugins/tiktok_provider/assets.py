"""The asset that stands for all posts, and what an event on it says.

A publishing task with the outlet ``AssetAlias("tiktok_posts")`` adds an event to ``Asset("tiktok_posts",
"tiktok://posts")`` once its post is out; a DAG that is scheduled on that asset reacts to it.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypedDict

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    from airflow.sdk import Asset

SCHEME = "tiktok"
# Of the asset and of its alias; the latter is the outlet of a task.
POSTS = "tiktok_posts"
POSTS_URI = "tiktok://posts"


class PostEvent(TypedDict):
    """The extra of an event on the asset.

    ``account``: the connection id. ``publish_id``: TikTok's id of the attempt. ``post_ids``: ids of the visible
    posts, as strings; empty if TikTok has not given one yet. ``post_url``: of the first of them; None if it is
    not known. ``post_key``: under which the post is on record. ``late``: whether it was learnt when the task had
    ended: the id of a post that was out before, or that a post is out for which no task has waited.
    """

    account: str
    publish_id: str
    post_ids: list[str]
    post_url: str | None
    post_key: str
    late: bool


def posts_asset(extra: dict[str, Any] | None = None) -> "Asset":
    """Return the asset of all posts. Airflow calls it for the scheme ``tiktok``."""
    from airflow.sdk import Asset

    return Asset(POSTS, POSTS_URI, extra=extra or {})


def sanitize_uri(uri: "SplitResult") -> "SplitResult":
    """Check a URI of the scheme ``tiktok``, for Airflow: ``tiktok://posts``, or ``tiktok://videos/<connection id>``.

    Airflow has put a slash behind the first one, which is taken away.

    :raises ValueError: it is another one.
    """
    path = uri.path.strip("/")
    known = (uri.netloc == "posts" and not path) or (uri.netloc == "videos" and path)
    if not known or uri.query or uri.fragment:
        raise ValueError("URIs of the scheme tiktok are tiktok://posts and tiktok://videos/<connection id>.")
    return uri._replace(path=uri.path.rstrip("/"))


class Post(Protocol):
    """What an event tells of a post; a record has it."""

    @property
    def conn_id(self) -> str: ...

    @property
    def publish_id(self) -> str | None: ...

    @property
    def post_ids(self) -> Sequence[str]: ...

    @property
    def post_url(self) -> str | None: ...

    @property
    def post_key(self) -> str: ...


def event_of(post: Post, *, late: bool) -> PostEvent:
    """Return the extra of an event; see ``PostEvent``."""
    return {
        "account": post.conn_id,
        "publish_id": post.publish_id or "",
        "post_ids": list(post.post_ids),
        "post_url": post.post_url,
        "post_key": post.post_key,
        "late": late,
    }
