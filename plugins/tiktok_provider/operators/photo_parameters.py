"""The parameters that all operators for photos have."""

import hashlib
from collections.abc import Mapping, Sequence
from os import PathLike, fsdecode
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import ObjectStoragePath

from tiktok_provider.exceptions import TikTokError
from tiktok_provider.operators.base import TikTokPublishingOperator
from tiktok_provider.store.posts import PostRecord

if TYPE_CHECKING:
    from tiktok_provider.publishing.media.photo_files import PhotoFiles
    from tiktok_provider.publishing.media.public_album import PublicAlbum
    from tiktok_provider.publishing.photo_posts import PhotoMedia


PHOTO_FIELDS = (
    "photo_urls",
    "photos",
    "publish_to",
    "public_base_url",
    "keep_public_photos",
    "title",
    "description",
    "cover_index",
    "check_urls",
)
PHOTO_TYPES: Mapping[str, Any] = {
    "photo_urls": list[str] | None,
    "photos": list[str | ObjectStoragePath] | None,
    "publish_to": str | None,
    "public_base_url": str | None,
    "keep_public_photos": bool,
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
        photo_urls: Sequence[str] | None = None,
        photos: "Sequence[str | PathLike[str] | ObjectStoragePath] | None" = None,
        publish_to: str | None = None,
        public_base_url: str | None = None,
        keep_public_photos: bool | str = False,
        title: str = "",
        description: str = "",
        cover_index: int | str = 0,
        check_urls: bool | str = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if (photo_urls is None) == (photos is None):
            raise ValueError(
                "Give either photo_urls, where TikTok pulls from, or photos, files that are published for it."
            )
        # Of their types once templates are rendered.
        self.photo_urls: Any = photo_urls
        self.photos: Any = _plain(photos)
        self.publish_to = publish_to
        self.public_base_url = public_base_url
        self.keep_public_photos: Any = keep_public_photos
        self.title = title
        self.description = description
        self.cover_index: Any = cover_index
        self.check_urls: Any = check_urls

    def media_locations(self) -> Sequence[str]:
        """Return where each photo lies, for the data's lineage."""
        media = self._media()
        return [photo.location for photo in media.parts]

    def clean_up(self, record: PostRecord) -> None:
        """Remove the public copies of files: TikTok has its own by now, or wants no more of them."""
        if self.photos is None or self.keep_public_photos:
            return
        try:
            self._album().remove(_folder_of(record.conn_id, record.post_key))
        except (TikTokError, OSError) as error:
            self.log.warning("The public copies of the photos were not removed: %s", error)

    def _media(self) -> "PhotoMedia":
        from tiktok_provider.publishing.media.photo_urls import PhotoUrls

        if self.photos is not None:
            return self._files()
        return PhotoUrls(self.photo_urls, check=self.check_urls)

    def _files(self) -> "PhotoFiles":
        from tiktok_provider.publishing.media.photo_files import PhotoFiles

        # The post key is known by the time that something is written.
        return PhotoFiles(
            self.photos, self._album, lambda: _folder_of(self.tiktok_conn_id, str(self.post_key))
        )

    def _album(self) -> "PublicAlbum":
        from tiktok_provider.hooks.tiktok import TikTokHook
        from tiktok_provider.publishing.media.public_album import album_of

        storage, address = self.publish_to, self.public_base_url
        if not (storage and address):
            with TikTokHook(self.tiktok_conn_id) as hook:
                storage = storage or hook.account.publish_to
                address = address or hook.account.public_base_url
        return album_of(storage, address, self.tiktok_conn_id)


def _folder_of(conn_id: str, post_key: str) -> str:
    """Return the name of a post's folder in the public storage: no other post may lose its photos with it."""
    return hashlib.sha256(f"{conn_id}\n{post_key}".encode()).hexdigest()[:32]


def _plain(photos: Any) -> Any:
    """Airflow renders texts and its own object-storage paths, but leaves a plain path as it is."""
    if not isinstance(photos, list | tuple):
        return photos
    return [fsdecode(photo) if isinstance(photo, PathLike) else photo for photo in photos]
