"""Object storage that the public can read: TikTok takes photos from there alone."""

import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from airflow.sdk import ObjectStoragePath

from tiktok_provider.exceptions import ConnectionSettingsError
from tiktok_provider.publishing.media.public_url import PublicUrl

log = logging.getLogger(__name__)

# How storages are told of what type a file is.
_TYPE_OPTIONS = {"s3": "ContentType", "gs": "content_type", "gcs": "content_type"}
_ON_DISK = ("", "file", "local")


@dataclass(frozen=True, slots=True)
class PublicAlbum:
    """A folder, and the address under which the public finds what is in it.

    :param storage: path or URL of the folder, as Airflow opens it.
    :param base_url: the folder's https address; its domain or prefix is verified at TikTok.
    """

    storage: str
    base_url: str

    def put(self, name: str, content: bytes) -> PublicUrl:
        """Write a photo, unless it is there already, and return where the public finds it.

        :param name: relative to the folder, made of the content: the same name is the same photo.
        :raises OSError: the storage cannot be written.
        """
        path = self._path(name)
        if not _has(path, len(content)):
            if path.protocol in _ON_DISK:
                path.parent.mkdir(parents=True, exist_ok=True)
            option = _TYPE_OPTIONS.get(path.protocol)
            kind = "image/webp" if name.endswith(".webp") else "image/jpeg"
            options: dict[str, Any] = {option: kind} if option else {}
            with path.open("wb", **options) as file:
                file.write(content)
        return PublicUrl(f"{self.base_url.rstrip('/')}/{name}")

    def remove(self, folder: str) -> None:
        """Remove a folder with all photos in it; that it cannot be removed is a warning."""
        path = self._path(folder)
        try:
            with suppress(FileNotFoundError):
                path.fs.rm(path.path, recursive=True)
        except Exception as error:
            # Whatever the storage raises: the post is out, and what is left behind does no harm.
            log.warning("The photos in %s could not be removed: %s", folder, error)

    def _path(self, name: str) -> ObjectStoragePath:
        return ObjectStoragePath(self.storage) / name


def _has(path: ObjectStoragePath, size: int) -> bool:
    try:
        return int(path.stat().st_size) == size
    except FileNotFoundError:
        return False


def album_of(storage: str, base_url: str, conn_id: str) -> PublicAlbum:
    """Return the album that photos from files go through.

    :param storage: of ``publish_to``, or of the connection.
    :param base_url: of ``public_base_url``, or of the connection.
    :raises ConnectionSettingsError: one of the two is set nowhere.
    """
    missing = [name for name, value in (("publish_to", storage), ("public_base_url", base_url)) if not value]
    if missing:
        raise ConnectionSettingsError(
            f"Photos from files need {' and '.join(missing)}.\n"
            "TikTok takes photos only from public URLs. Set publish_to to object storage that the public can read,"
            " such as s3://aws_default@bucket/photos, and public_base_url to its https address, whose domain the"
            f" TikTok app has verified; as parameters of the task, or in the extra of connection {conn_id!r}."
        )
    return PublicAlbum(storage, base_url)
