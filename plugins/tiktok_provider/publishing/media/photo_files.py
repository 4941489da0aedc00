"""Photos from files: TikTok takes photos from public URLs alone, so they go through public storage."""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any, ClassVar

from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from tiktok_provider.api.accounts import CreatorInfo
from tiktok_provider.api.hosts import HostPolicy
from tiktok_provider.api.posting import SourceInfo, photo_source
from tiktok_provider.exceptions import InvalidInputError
from tiktok_provider.publishing.media.image_checks import read_facts
from tiktok_provider.publishing.media.image_conversion import NotConvertedError, converted
from tiktok_provider.publishing.media.medium import T, Transfers
from tiktok_provider.publishing.media.photo_urls import and_more, check_number
from tiktok_provider.publishing.media.public_album import PublicAlbum
from tiktok_provider.publishing.media.public_images import (
    PhotoUnreachableError,
    check_public_images,
    numbered,
)
from tiktok_provider.publishing.media.public_url import PublicUrl
from tiktok_provider.publishing.media.stored_file import LOOK_AROUND_BYTES, StoredFile
from tiktok_provider.publishing.media.violations import Violation
from tiktok_provider.store.posts import Source

# Seconds for which what was written may take to be seen by the public.
LONGEST_DELAY = 30.0


class PhotoFile(StoredFile):
    """One photo."""

    what: ClassVar[str] = "photo file"

    def problems(self) -> Iterator[str]:
        """Yield why it cannot be a photo of a post, by its first bytes.

        :raises OSError: the storage cannot be read for now.
        """
        try:
            with self.explained(), self.open(LOOK_AROUND_BYTES) as source:
                facts = read_facts(source.read(LOOK_AROUND_BYTES), self.size)
        except InvalidInputError as error:
            yield from error.violations
            return
        if not facts.format:
            yield f"photo file {self.location} is no image, allowed: JPEG, WebP, PNG, GIF, BMP, TIFF"

    def content(self) -> bytes:
        """Return it as TikTok takes it.

        :raises InvalidInputError: it is damaged, or has too many pixels.
        """
        try:
            with self.explained(), self.open() as source:
                new = converted(source, self.size)
                if new is None:
                    source.seek(0)
                    new = source.read()
                return new
        except NotConvertedError as error:
            raise self.error(str(error)) from error


class PhotoFiles:
    """The photos of one post, in their order.

    :param locations: 1 to 35 paths or object-storage URLs; see ``StoredFile``.
    :param album: gives the public storage that they go through; asked when it is needed.
    :param folder: gives the name of the post's own folder there; asked when it is needed.
    """

    # To the store they are what they are to TikTok.
    source: Source = "url"
    by_place = True

    def __init__(
        self, locations: Sequence[Any], album: Callable[[], PublicAlbum], folder: Callable[[], str]
    ) -> None:
        self.files = tuple(PhotoFile(location) for location in locations)
        self._album = album
        self._folder = folder

    def __repr__(self) -> str:
        return f"PhotoFiles({self.location!r})"

    def __len__(self) -> int:
        return len(self.files)

    @property
    def parts(self) -> Sequence[PhotoFile]:
        """Each of them."""
        return self.files

    @property
    def location(self) -> str:
        """The first file's, how many more there are, and a hash of where all lie."""
        places = [file.location for file in self.files]
        return and_more(places) if len(places) < 2 else f"{and_more(places)} ({_hash(places)[:8]})"

    @property
    def name(self) -> str:
        """Where they lie."""
        return self.location

    @property
    def fingerprint(self) -> str:
        """What the same bytes are known by."""
        return f"photos {_hash([file.fingerprint for file in self.files])}"

    @cached_property
    def digest(self) -> str:
        """A hash of all files' digests, in their order: copies of them have the same."""
        return _hash([file.digest for file in self.files])

    @property
    def secrets(self) -> Sequence[str]:
        """Nothing: their public URLs are public."""
        return ()

    def violations(self, hosts: HostPolicy) -> Iterator[Violation | str]:
        """Yield what cannot be a photo post.

        :raises ConnectionSettingsError: the public storage is not set.
        :raises OSError: the storage cannot be read for now.
        """
        if violation := PublicUrl(self._album().base_url).violation("public_base_url", hosts):
            yield violation
        yield from check_number("photos", len(self.files))
        for file in self.files:
            yield from file.problems()

    def violations_for(self, creator: CreatorInfo) -> Sequence[Violation]:  # noqa: ARG002
        """Return nothing: creators differ only in the videos that they may post."""
        return ()

    def transfer(self, transfers: Transfers[T]) -> T:
        """Let TikTok pull them."""
        return transfers.pull(self)

    def prepare(self, alive: Callable[[], None]) -> SourceInfo:
        """Convert each photo where needed, write it to the public storage, and see whether the public finds it.

        One after the other, so that no more than one is in memory. What is there already is not written again.

        :raises InvalidInputError: a photo is damaged, or the public does not find one.
        :raises PhotoUnreachableError: the public address does not answer now.
        :raises OSError: the storage cannot be read or written for now.
        """
        urls = [self._published(file, alive) for file in self.files]
        self._wait_until_public(urls, alive)
        return photo_source([url.url for url in urls])

    def _published(self, file: PhotoFile, alive: Callable[[], None]) -> PublicUrl:
        content = file.content()
        suffix = "webp" if content[8:12] == b"WEBP" else "jpg"
        url = self._album().put(f"{self._folder()}/{hashlib.sha256(content).hexdigest()}.{suffix}", content)
        alive()
        return url

    @staticmethod
    def _wait_until_public(urls: Sequence[PublicUrl], alive: Callable[[], None]) -> None:
        retrying = Retrying(
            retry=retry_if_exception_type((InvalidInputError, PhotoUnreachableError)),
            stop=stop_after_delay(LONGEST_DELAY),
            wait=wait_fixed(2),
            sleep=lambda seconds: time.sleep(seconds),
            reraise=True,
        )
        retrying(check_public_images, list(numbered("public copy of photos", urls)), alive)


def _hash(parts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
