"""What a task returns of a post."""

from typing import TypedDict

from tiktok_provider.api.posting import PostStatus, Status
from tiktok_provider.store.posts import PostRecord, PostState


class PostResult(TypedDict):
    """The value of a publishing task in XCom.

    ``publish_id``: TikTok's id of the attempt. ``status``: its last status. ``post_ids``: ids of the visible posts,
    as strings; empty until TikTok gives one. ``post_url``: of the first of them. ``account``: the connection
    id. ``post_key``: under which the post is on record; None in a sensor. ``reused``: whether another try or task
    had sent it already.
    """

    publish_id: str
    status: str
    post_ids: list[str]
    post_url: str | None
    account: str
    post_key: str | None
    reused: bool


# What a record says whose outcome a person has entered.
_STATUS_OF_STATE = {
    PostState.OUT: Status.PUBLISH_COMPLETE,
    PostState.IN_INBOX: Status.SEND_TO_USER_INBOX,
}


def recorded_result(record: PostRecord, *, reused: bool) -> PostResult:
    """Build the value that a publishing task returns, from what is on record."""
    status = record.status.get("status") or _STATUS_OF_STATE.get(record.state, Status.PROCESSING_UPLOAD)
    return {
        "publish_id": record.publish_id or "",
        "status": str(status),
        "post_ids": list(record.post_ids),
        "post_url": record.post_url,
        "account": record.conn_id,
        "post_key": record.post_key,
        "reused": reused,
    }


def post_result(publish_id: str, status: PostStatus, *, conn_id: str, profile_url: str | None) -> PostResult:
    """Build the value that a sensor returns.

    :param profile_url: the creator's page, if it is known.
    """
    return {
        "publish_id": publish_id,
        "status": status.status,
        "post_ids": list(status.post_ids),
        "post_url": post_page(profile_url, status.post_ids[0]) if status.post_ids else None,
        "account": conn_id,
        "post_key": None,
        "reused": False,
    }


def post_page(profile_url: str | None, post_id: str, kind: str = "video") -> str | None:
    """Return the page of a post; None if the creator's page is not known.

    :param kind: ``video`` or ``photos``.
    """
    return f"{profile_url}/{'photo' if kind == 'photos' else 'video'}/{post_id}" if profile_url else None
