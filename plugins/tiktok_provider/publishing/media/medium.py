"""What every kind of media is to publishing, wherever it lies and however TikTok gets it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol, TypeVar

from tiktok_provider.api.accounts import CreatorInfo
from tiktok_provider.api.hosts import HostPolicy
from tiktok_provider.api.posting import SourceInfo
from tiktok_provider.publishing.media.violations import Violation
from tiktok_provider.store.posts import Source

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")


class Media(Protocol):
    """The media of one post."""

    @property
    def source(self) -> Source:
        """Where they come from, in the store's words."""

    @property
    def location(self) -> str:
        """Where they lie, safe to print."""

    @property
    def by_place(self) -> bool:
        """Whether what lies at the location are the same media, even if they were written again."""

    @property
    def fingerprint(self) -> str:
        """What an upload is resumed by: it changes whenever the bytes may have changed."""

    @property
    def name(self) -> str:
        """What the media are known by before they are read: where they lie, without what a signature changes."""

    @property
    def digest(self) -> str:
        """What the same media are known by wherever they lie, as far as it can be known: 64 hexadecimal digits.

        :raises InvalidInputError: they are missing, or not to be read.
        """

    @property
    def secrets(self) -> Sequence[str]:
        """What TikTok is sent of them and may repeat in its errors, such as a signed URL."""

    def violations(self, hosts: HostPolicy) -> Iterable[Violation | str]:
        """Return all that TikTok would refuse, as far as it can be known without the network.

        :param hosts: what ``[tiktok] allowed_hosts`` lists.
        :raises OSError: the storage cannot be read for now.
        """

    def violations_for(self, creator: CreatorInfo) -> Iterable[Violation]:
        """Return what this creator may not post of them."""

    def transfer(self, transfers: "Transfers[T]") -> T:
        """Choose how TikTok gets them: call one method of ``transfers``."""


class VideoMedia(Media, Protocol):
    """One video."""

    @property
    def duration_seconds(self) -> float | None:
        """Its length, None where that is not known."""


class UploadedMedia(Media, Protocol):
    """One file that we upload."""

    @property
    def size(self) -> int:
        """Length in bytes, at least 1."""

    @property
    def content_type(self) -> str:
        """The media type to upload it under."""

    def pieces(self, first: int, last: int, piece_size: int) -> Iterator[bytes]:
        """Stream a range of bytes, ``last`` inclusive, in pieces of at most ``piece_size``."""

    def is_unchanged(self) -> bool:
        """Tell whether it is still what it was when it was first read."""


class PulledMedia(Media, Protocol):
    """Media that TikTok fetches from URLs by itself, as soon as it has accepted the init."""

    def prepare(self, alive: Callable[[], None]) -> SourceInfo:
        """Make sure that TikTok can fetch them, and return what init is sent of them.

        :param alive: called now and then while it lasts: the claim of the post must not end meanwhile.
        :raises InvalidInputError: TikTok would refuse some of them.
        :raises TikTokError: they cannot be reached for now.
        """


class Transfers(Protocol[T_co]):
    """The two ways in which TikTok gets media. Source: TikTok's "Media Transfer Guide"."""

    def upload(self, media: UploadedMedia) -> T_co:
        """FILE_UPLOAD."""

    def pull(self, media: PulledMedia) -> T_co:
        """PULL_FROM_URL."""
