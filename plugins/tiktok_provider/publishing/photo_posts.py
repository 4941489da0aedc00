"""Photo posts. Source: TikTok's "Photo" page."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import ClassVar, Protocol

from tiktok_provider.api.accounts import CreatorInfo
from tiktok_provider.api.calls import Call
from tiktok_provider.api.hosts import HostPolicy
from tiktok_provider.api.posting import Check, PhotoPost, SourceInfo, Started, init_photos
from tiktok_provider.publishing.direct_settings import (
    check_branding,
    check_offered,
    check_privacy,
    warn_of_switched_off,
)
from tiktok_provider.publishing.media.medium import Media
from tiktok_provider.publishing.media.text_checks import PHOTO_TITLE_LIMIT, check_description, check_title
from tiktok_provider.publishing.media.violations import Violation
from tiktok_provider.publishing.request import Kind, Target
from tiktok_provider.store.posts import Content


class PhotoMedia(Media, Protocol):
    """Some photos, in their order."""

    def __len__(self) -> int:
        """How many they are."""

    @property
    def parts(self) -> "Sequence[Located]":
        """Each of them."""


class Located(Protocol):
    """Something of which it is known where it lies."""

    @property
    def location(self) -> str:
        """Where it lies, safe to print."""


@dataclass(frozen=True, slots=True)
class DirectPhotos:
    """Photos that are visible at once.

    :param cover_index: of the photo that is the cover, from 0.
    :param is_aigc: labels them as made with AI.
    """

    media: PhotoMedia
    post: PhotoPost
    cover_index: int = 0
    is_aigc: bool = False

    kind: ClassVar[Kind] = "photos"
    target: ClassVar[Target] = Target.DIRECT_POST

    @property
    def content(self) -> Content:
        """Texts and settings."""
        return {**asdict(self.post), "photo_cover_index": self.cover_index, "is_aigc": self.is_aigc}

    def violations(self, hosts: HostPolicy) -> Iterator[Violation | str]:
        """Yield all that TikTok would refuse, as far as it can be known without the network."""
        yield from check_privacy(self.post)
        yield from check_branding(self.post)
        yield from _check_texts(self.post)
        yield from self.media.violations(hosts)
        yield from _check_cover(self.cover_index, self.media)

    def violations_for(self, creator: CreatorInfo) -> Iterator[Violation]:
        """Yield what this creator may not post: a privacy level that is not offered."""
        yield from check_offered(self.post, creator)

    def adapted_to(self, creator: CreatorInfo) -> "DirectPhotos":
        """Leave off, with a warning, what the creator has switched off; photos have neither duets nor stitches."""
        warn_of_switched_off(
            creator, "allow_comment", creator.comment_disabled and not self.post.disable_comment
        )
        disabled = self.post.disable_comment or creator.comment_disabled
        return replace(self, post=replace(self.post, disable_comment=disabled))

    def init(self, source: SourceInfo, check: Check) -> Call[Started]:
        """Return the call of TikTok's "Photo" page."""
        return init_photos(
            self.post, _with_cover(source, self.cover_index), check, direct=True, is_aigc=self.is_aigc
        )


@dataclass(frozen=True, slots=True)
class DraftPhotos:
    """Photos in the creator's inbox, with texts that the editor shows; a human chooses the rest in the app.

    :param cover_index: of the photo that is the cover, from 0.
    """

    media: PhotoMedia
    title: str = ""
    description: str = ""
    cover_index: int = 0

    kind: ClassVar[Kind] = "photos"
    target: ClassVar[Target] = Target.DRAFT

    @property
    def content(self) -> Content:
        """Texts and cover."""
        return {
            "title": self.title,
            "description": self.description,
            "photo_cover_index": self.cover_index,
        }

    def violations(self, hosts: HostPolicy) -> Iterator[Violation | str]:
        """Yield all that TikTok would refuse, as far as it can be known without the network."""
        yield from _check_texts(self)
        yield from self.media.violations(hosts)
        yield from _check_cover(self.cover_index, self.media)

    def violations_for(self, creator: CreatorInfo) -> Iterator[Violation]:
        """Yield what this creator may not post of them."""
        yield from self.media.violations_for(creator)

    def adapted_to(self, creator: CreatorInfo) -> "DraftPhotos":  # noqa: ARG002
        """Return it as it is: the creator chooses the settings in the app."""
        return self

    def init(self, source: SourceInfo, check: Check) -> Call[Started]:
        """Return the call of TikTok's "Photo" page, with ``MEDIA_UPLOAD``."""
        # A draft has none; the class asks for one.
        post = PhotoPost(privacy_level="", title=self.title, description=self.description)
        return init_photos(post, _with_cover(source, self.cover_index), check, direct=False)


class _Texts(Protocol):
    @property
    def title(self) -> str: ...

    @property
    def description(self) -> str: ...


def _check_texts(post: _Texts) -> Iterator[Violation]:
    yield from check_title(post.title, PHOTO_TITLE_LIMIT)
    yield from check_description(post.description)


def _check_cover(index: int, media: PhotoMedia) -> Iterator[Violation]:
    # Of an empty list the media say enough.
    if len(media) and not 0 <= index < len(media):
        yield Violation("cover_index", str(index), f"0 to {len(media) - 1}", "it counts the photos from 0")


def _with_cover(source: SourceInfo, index: int) -> Mapping[str, object]:
    return {**source, "photo_cover_index": index}
