"""The parameters that all operators for photos have."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from tiktok_provider.operators.base import TikTokPublishingOperator

if TYPE_CHECKING:
    from tiktok_provider.publishing.photo_posts import PhotoMedia


PHOTO_FIELDS = ("photo_urls", "title", "description", "cover_index", "check_urls")
PHOTO_TYPES: Mapping[str, Any] = {
    "photo_urls": list[str],
    "title": str,
    "description": str,
    "cover_index": int,
    "check_urls": bool,
}


class PhotoParameters(TikTokPublishingOperator):
    """Photos, their texts and their cover; see ``TikTokPublishPhotosOperator``."""

    template_fields: Sequence[str] = (*TikTokPublishingOperator.template_fields, *PHOTO_FIELDS)
    parameter_types: ClassVar[Mapping[str, Any]] = {
        **TikTokPublishingOperator.parameter_types,
        **PHOTO_TYPES,
    }
    may_be_empty: ClassVar[frozenset[str]] = frozenset({"title", "description"})

    def __init__(
        self,
        *,
        photo_urls: Sequence[str],
        title: str = "",
        description: str = "",
        cover_index: int | str = 0,
        check_urls: bool | str = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        # Of their types once templates are rendered.
        self.photo_urls: Any = photo_urls
        self.title = title
        self.description = description
        self.cover_index: Any = cover_index
        self.check_urls: Any = check_urls

    def _media(self) -> "PhotoMedia":
        from tiktok_provider.publishing.media.photo_urls import PhotoUrls

        return PhotoUrls(self.photo_urls, check=self.check_urls)
