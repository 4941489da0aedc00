"""Deliver photos to the creator's inbox as a draft (TikTok's "upload")."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from tiktok_provider.operators.draft import TikTokDraftOperator
from tiktok_provider.operators.photo_parameters import PHOTO_FIELDS, PHOTO_TYPES, PhotoParameters

if TYPE_CHECKING:
    from tiktok_provider.publishing.photo_posts import DraftPhotos


class TikTokUploadPhotosOperator(PhotoParameters, TikTokDraftOperator):
    """Delivers 1 to 35 photos to the creator's inbox as a draft, which the creator finishes in the TikTok app.

    The scope ``video.upload`` is enough. Title and description fill the editor in; the creator can change them. A
    retry or a clear returns what is on record, and delivers the draft anew only if TikTok reports FAILED.

    Source: https://developers.tiktok.com/doc/content-posting-api-reference-photo-post

    :param photo_urls: as for ``TikTokPublishPhotosOperator``, as are ``check_urls`` and ``cover_index``. Templated.
    :param title: at most 90 UTF-16 units. Templated.
    :param description: with its hashtags and mentions, at most 4,000 UTF-16 units. Templated.
    :param wait_for: ``inbox``: until it is in the creator's inbox; ``posted``: until the creator has posted it.
        Templated.
    :raises InvalidInputError: with every violation; nothing was sent.
    :raises PhotoUnreachableError: the host of a photo does not answer; nothing was sent, a retry asks again.
    :raises PostFailedError: TikTok reports FAILED: nothing was delivered.
    :raises UncertainPostError: whether it was delivered cannot be known; never retried.
    """

    template_fields: Sequence[str] = (*TikTokDraftOperator.template_fields, *PHOTO_FIELDS)
    parameter_types: ClassVar[Mapping[str, Any]] = {**TikTokDraftOperator.parameter_types, **PHOTO_TYPES}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.check_literals()

    def request(self) -> "DraftPhotos":
        """Return the photos and their texts."""
        from tiktok_provider.publishing.photo_posts import DraftPhotos

        return DraftPhotos(self._media(), self.title, self.description, self.cover_index)
