"""A post of which TikTok cannot say whether it is out: a person is asked, with all that helps."""

from datetime import UTC, datetime
from shlex import quote
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowFailException

from tiktok_provider.api.videos import Video
from tiktok_provider.exceptions import PostUncertainError, TikTokError
from tiktok_provider.store.posts import PostRecord

if TYPE_CHECKING:
    from tiktok_provider.hooks.tiktok import TikTokHook

CANDIDATES = 5
_LONGEST_TITLE = 40


class UncertainPostError(PostUncertainError, AirflowFailException):
    """Whether the post is out cannot be known: the task fails once, and no retry follows."""


def uncertain_post(hook: "TikTokHook", record: PostRecord, what: str) -> UncertainPostError:
    """Return the error that asks a person; it names the command that resolves the post, and decides nothing itself.

    :param what: a sentence, what happened.
    """
    command = f"airflow tiktok resolve {quote(record.conn_id)} {quote(record.post_key)}"
    return UncertainPostError(
        f"{what}\nThe post may be out, and is not sent again. {_candidates(hook)}\n"
        f"Resolve it: {command} --posted [POST_ID or URL]\n"
        f"or: {command} --not-posted\nThen clear this task.",
        publish_id=record.publish_id,
    )


def _candidates(hook: "TikTokHook") -> str:
    try:
        videos = hook.list_videos(max_count=CANDIDATES).videos
    except TikTokError as error:
        return f"The account's recent videos could not be listed ({error}): look at the account."
    if not videos:
        return "The account shows no public video; drafts, private posts and those in moderation do not show."
    return f"The account's newest public videos: {'; '.join(map(_shown, videos))}."


def _shown(video: Video) -> str:
    created = datetime.fromtimestamp(video.create_time or 0, UTC)
    title = (video.title or video.video_description or "")[:_LONGEST_TITLE]
    return f"{video.id} of {created:%Y-%m-%d %H:%M} UTC {title!r}"
