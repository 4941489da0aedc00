"""Publish to a creator's profile (TikTok's "direct post")."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from tiktok_provider.operators.direct_post import TikTokDirectPostOperator
from tiktok_provider.operators.video_parameters import VIDEO_FIELDS, VIDEO_TYPES, VideoParameters

if TYPE_CHECKING:
    from tiktok_provider.publishing.video_posts import DirectVideo


class TikTokPublishVideoOperator(VideoParameters, TikTokDirectPostOperator):
    """Publishes one video and, by default, waits in the triggerer until TikTok has published it.

    Everything that can be known is checked first: values, the file (container, codec, sides, frame rate, duration,
    size) and what the creator offers. All violations come in one error, and nothing is sent.

    It returns ``{"publish_id", "status", "post_ids", "post_url", "account", "post_key", "reused"}``; ``publish_id``
    is in XCom on its own before the task defers.

    **One post per post key.** Every step is on record in the store before it is taken. A retry goes on where the
    last try was cut off: it resumes the upload where TikTok stands, or only waits. A clear, a backfill with
    reprocessing, a run that was deleted and created again, or another task with the same post key return the post
    that is on record (``reused: True``), and say what differs from it. Clearing a task therefore does not post
    again: another post key does, or ``airflow tiktok forget``. A post that TikTok reports as FAILED is not out,
    so the next try makes a new attempt. Where it cannot be known whether TikTok has accepted a post, the task
    fails once, without retries, and names the command that resolves it.

    **No worker waits** for TikTok, for the account's rate limits, or for another task with the same post key:
    the task defers, which spends no retry.

    Resuming needs retries: with ``retries=0`` a task that was cut off goes on only when it is cleared.

    Source: https://developers.tiktok.com/doc/content-posting-api-reference-direct-post

    :param video: a local path, or any object-storage URL that Airflow opens, with its connection:
        ``s3://conn_id@bucket/key``; a text, a path or an ``ObjectStoragePath``. MP4, MOV or WebM; H.264, H.265, VP8
        or VP9; sides of 360 to 4096 pixels; 23 to 60 fps; at most 4 GB, 10 minutes and the creator's own limit. What
        a container rounds (0.1 fps, 0.1 seconds beyond) only gets a warning. Templated.
    :param video_url: instead of ``video``: an https URL from which TikTok pulls the video itself. Its domain or
        prefix must be verified in TikTok's developer portal, it must not redirect, and stay reachable for an hour.
        The file is not checked here. If the answer to its init is lost, the post is uncertain. Templated, so Airflow
        shows it whole among the rendered fields: a signed URL should be short-lived.
    :param privacy_level: ``PUBLIC_TO_EVERYONE``, ``MUTUAL_FOLLOW_FRIENDS``, ``FOLLOWER_OF_CREATOR`` or
        ``SELF_ONLY``; it must be one that the creator's account offers. There is no default: TikTok's guidelines
        want a choice. Templated.
    :param title: the caption with its hashtags and mentions, at most 2,200 UTF-16 units. Templated.
    :param allow_comment: lets people comment. Off by default, as TikTok's guidelines want. Templated, as are all
        other switches: the text must be ``true`` or ``false``, in any case.
    :param allow_duet: lets people make duets. Templated.
    :param allow_stitch: lets people stitch. Templated.
    :param cover_timestamp_ms: the frame for the cover, in milliseconds from the start; None and 0 take the first.
        Templated: the text must be a whole number.
    :param brand_content: a paid partnership for another brand than the creator's. Not with ``SELF_ONLY``. Templated.
    :param brand_organic: promotes the creator's own business. Templated.
    :param is_aigc: labels the video as made with AI. Templated.
    :param post_key: the idempotency key of the post: with the same key it is the same post. 1 to 250 characters.
        Default: a hash of dag id, partition key (else logical date, else run id), task id and, for a mapped task,
        where the video lies; not the map index, which is a position. Templated.
    :param on_changed_input: what happens if caption or settings differ from a post that is already out or on its
        way, or its file was written again: ``warn``, or ``fail``. It is never posted again.
        Templated.
    :param on_post_key_conflict: what happens if the post on record under the key has another video (both place and
        content differ) or comes from another DAG or task: ``fail``, or ``reuse`` returns the recorded post.
        Templated.
    :param allow_duplicate: the same video may be out twice in one slot (partition key, else logical date, else run
        id). False: a second one, under another post key, fails before anything is sent. Templated.
    :param max_lateness: how long after the run was due (``run_after``) the post may still begin, as a ``timedelta``
        or in seconds: what ``catchup`` brings later is not sent. None: without limit. Runs that a person asks for
        (manual, backfill) are never too late, and what is out stays so.
    :param on_late: what becomes of a task that is too late: ``skip`` or ``fail``. Templated.
    :param on_cap: when a 24-hour cap is reached: ``wait`` in the triggerer until it ends, or ``fail``. Templated.
    :param wait: False returns as soon as TikTok has the whole file. Whether it is published is then not known, and
        ``status`` is ``PROCESSING_UPLOAD``. When the task is cleared it asks TikTok once: a post that has failed
        since fails the task, and its next try makes a new attempt; one that is uncertain, or has landed in the
        inbox, fails it as with waiting. Templated.
    :param wait_for_post_id: how long to wait for the public post id, which comes after moderation, once the post is
        published: a ``timedelta`` or seconds, at most to the end of ``timeout``; True: to that end; False: not at
        all. Only posts with ``PUBLIC_TO_EVERYONE`` get one; for others this changes nothing. A post that is published
        is a success with or without its id, and one that comes later is still recorded. Default: 10 minutes.
        Templated: the text must be ``true``, ``false`` or a whole number of seconds.
    :param cancel_on_kill: when a person marks or clears the task while it waits in the triggerer, ask TikTok to stop
        pulling from ``video_url``. Best effort: a pull that is nearly done goes on, and the post comes out; uploads
        cannot be stopped. A cancelled post is FAILED, and the next try makes a new attempt. Default: False.
    :param deferrable: wait in the triggerer; False holds the worker slot.
    :param timeout: how long to wait, from the last byte, as a ``timedelta`` or in seconds; a post that TikTok has not
        finished by then is uncertain. A cleared task waits as long again. Up to 366 days. Default: 24 hours.
    :param tiktok_conn_id: a Connection of type ``tiktok`` with the scope ``video.publish``. Templated.
    :param retries: tries after the first. Default: 3.
    :param retry_policy: default: what the errors themselves say, see ``tiktok_provider.retry``.
    :raises InvalidInputError: with every violation; nothing was sent.
    :raises PostConflictError: there is another post under the key, or the same video in this slot; nothing was sent.
    :raises TooLateError: with ``on_late="fail"``; nothing was sent.
    :raises ConnectionSettingsError: the Connection lacks something; nothing was sent.
    :raises AccountClosedError: a 24-hour cap is reached, with ``on_cap="fail"``.
    :raises PostFailedError: TikTok reports FAILED: nothing is out.
    :raises UncertainPostError: whether the post is out cannot be known; never retried.
    """

    template_fields: Sequence[str] = (
        *TikTokDirectPostOperator.template_fields,
        *VIDEO_FIELDS,
        "title",
        "allow_duet",
        "allow_stitch",
        "cover_timestamp_ms",
    )
    parameter_types: ClassVar[Mapping[str, Any]] = {
        **TikTokDirectPostOperator.parameter_types,
        **VIDEO_TYPES,
        "title": str,
        "allow_duet": bool,
        "allow_stitch": bool,
        "cover_timestamp_ms": int | None,
    }
    may_be_empty: ClassVar[frozenset[str]] = frozenset({"title"})

    def __init__(
        self,
        *,
        title: str = "",
        allow_duet: bool | str = False,
        allow_stitch: bool | str = False,
        cover_timestamp_ms: int | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.title = title
        # Booleans and a number, once templates are rendered.
        self.allow_duet: Any = allow_duet
        self.allow_stitch: Any = allow_stitch
        self.cover_timestamp_ms: Any = cover_timestamp_ms
        self.check_literals()

    def request(self) -> "DirectVideo":
        """Return the video and its settings."""
        from tiktok_provider.api.posting import VideoPost
        from tiktok_provider.publishing.video_posts import DirectVideo

        post = VideoPost(
            privacy_level=self.privacy_level,
            title=self.title,
            disable_comment=not self.allow_comment,
            disable_duet=not self.allow_duet,
            disable_stitch=not self.allow_stitch,
            brand_content_toggle=self.brand_content,
            brand_organic_toggle=self.brand_organic,
            is_aigc=self.is_aigc,
            video_cover_timestamp_ms=self.cover_timestamp_ms,
        )
        return DirectVideo(self._media(), post)
