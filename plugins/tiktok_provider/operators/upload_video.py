"""Deliver a video to the creator's inbox as a draft (TikTok's "upload")."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from tiktok_provider.operators.draft import TikTokDraftOperator
from tiktok_provider.operators.video_parameters import VIDEO_FIELDS, VIDEO_TYPES, VideoParameters

if TYPE_CHECKING:
    from tiktok_provider.publishing.video_posts import DraftVideo


class TikTokUploadVideoOperator(VideoParameters, TikTokDraftOperator):
    """Delivers one video to the creator's inbox as a draft, which the creator finishes in the TikTok app.

    The creator gets a notification under **Inbox** (not under Drafts), adds a caption and settings there, and posts.
    TikTok ignores texts and settings that are sent with a video draft, so there are no parameters for them. The scope
    ``video.upload`` is enough, and drafts need no audit of the app.

    It returns the same as ``TikTokPublishVideoOperator``; ``status`` is ``SEND_TO_USER_INBOX``, or
    ``PUBLISH_COMPLETE`` once the creator has posted it. A retry goes on where the last try was cut off. A clear
    returns what is on record; a draft that TikTok reports as FAILED is delivered anew.

    **Pending drafts.** TikTok takes about five drafts that wait in an inbox. At five the task waits in the triggerer
    until one is posted or has failed, names those that wait, and goes on within minutes of it.

    Source: https://developers.tiktok.com/doc/content-posting-api-reference-upload-video

    :param video: as for ``TikTokPublishVideoOperator``, as are ``video_url`` and all that concerns waiting and the
        post key. Templated.
    :param wait_for: ``inbox``: until TikTok has delivered it; ``posted``: until the creator has posted it, with the
        public ids of all posts that were made of it. A draft that is still in the inbox at the end of ``timeout``
        fails the task; it stays there, and a cleared task waits on. Templated.
    :param on_cap: when the inbox takes no more drafts: ``wait``, or ``fail``. Templated.
    :param tiktok_conn_id: a Connection of type ``tiktok`` with the scope ``video.upload``. Templated.
    :raises InvalidInputError: with every violation; nothing was sent.
    :raises AccountClosedError: the inbox is full, with ``on_cap="fail"``; nothing was sent.
    :raises PostFailedError: TikTok reports FAILED: nothing was delivered.
    :raises PostTimeoutError: the creator had not posted it at the end of ``timeout``.
    :raises UncertainPostError: whether it was delivered cannot be known; never retried.
    """

    template_fields: Sequence[str] = (*TikTokDraftOperator.template_fields, *VIDEO_FIELDS)
    parameter_types: ClassVar[Mapping[str, Any]] = {**TikTokDraftOperator.parameter_types, **VIDEO_TYPES}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.check_literals()

    def request(self) -> "DraftVideo":
        """Return the video."""
        from tiktok_provider.publishing.video_posts import DraftVideo

        return DraftVideo(self._media())
