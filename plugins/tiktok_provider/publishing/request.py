"""What a DAG asks to be published: one value per kind of post, which knows all that is particular to the kind."""

import logging
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from enum import Enum
from typing import ClassVar, Literal, Protocol, TypeVar

from tiktok_provider.api.accounts import CreatorInfo
from tiktok_provider.api.calls import Call
from tiktok_provider.api.hosts import HostPolicy
from tiktok_provider.api.posting import Check, PrivacyLevel, SourceInfo, Started, VideoPost, init_video
from tiktok_provider.exceptions import InvalidInputError
from tiktok_provider.publishing.media.medium import Media, VideoMedia
from tiktok_provider.publishing.media.text_checks import check_title
from tiktok_provider.publishing.media.video_checks import MAX_DURATION_SECONDS
from tiktok_provider.publishing.media.violations import Violation
from tiktok_provider.publishing.waiting.polling import WaitFor
from tiktok_provider.store.posts import Content
from tiktok_provider.store.rate_limits import Cap

log = logging.getLogger(__name__)

Kind = Literal["video", "photos"]
RequestT = TypeVar("RequestT", bound="PostRequest")


class Target(Enum):
    """Where a post goes.

    ``cap``: what TikTok allows of these per day. ``wait_for``: which of TikTok's statuses ends the wait for one.
    ``needs_creator_info``: whether TikTok wants the creator to be asked for before each init.
    """

    DIRECT_POST = (Cap.POSTS, "complete", True)
    """Visible at once."""
    DRAFT = (Cap.DRAFTS, "inbox", False)
    """In the creator's inbox, where a human finishes it."""

    def __init__(self, cap: Cap, wait_for: WaitFor, needs_creator_info: bool) -> None:
        self.cap = cap
        self.wait_for = wait_for
        self.needs_creator_info = needs_creator_info


class PostRequest(Protocol):
    """What is published. A new kind of post is a new class like this one, and an operator that builds it."""

    kind: ClassVar[Kind]
    target: ClassVar[Target]

    @property
    def media(self) -> Media:
        """What the post shows."""

    @property
    def content(self) -> Content:
        """Texts and settings, for the record: by these a later request is compared."""

    @abstractmethod
    def violations(self, hosts: HostPolicy) -> Iterable[Violation | str]:
        """Return all that TikTok would refuse of media and settings, as far as it can be known without the network.

        :param hosts: what ``[tiktok] allowed_hosts`` lists.
        :raises OSError: the storage cannot be read for now.
        """

    @abstractmethod
    def violations_for(self, creator: CreatorInfo) -> Iterable[Violation]:
        """Return what this creator may not post of it."""

    @abstractmethod
    def adapted_to(self: RequestT, creator: CreatorInfo) -> RequestT:
        """Return it as it can go out for this creator."""

    @abstractmethod
    def init(self, source: SourceInfo, check: Check) -> Call[Started]:
        """Return the call that starts it.

        :param source: of its media.
        :param check: called right before the request leaves.
        """


def check_locally(request: PostRequest, hosts: HostPolicy) -> None:
    """Check all that needs no network.

    :param hosts: what ``[tiktok] allowed_hosts`` lists.
    :raises InvalidInputError: with every violation.
    :raises OSError: the storage cannot be read for now.
    """
    _refuse(request.violations(hosts))


def check_creator(request: RequestT, creator: CreatorInfo) -> RequestT:
    """Check a request against what this creator offers, and return it as it can go out.

    :raises InvalidInputError: with every violation.
    """
    _refuse(request.violations_for(creator))
    return request.adapted_to(creator)


def _refuse(violations: Iterable[Violation | str]) -> None:
    if found := [str(violation) for violation in violations]:
        raise InvalidInputError(found)


@dataclass(frozen=True, slots=True)
class DirectVideo:
    """A video that is visible at once."""

    media: VideoMedia
    post: VideoPost

    kind: ClassVar[Kind] = "video"
    target: ClassVar[Target] = Target.DIRECT_POST

    @property
    def content(self) -> Content:
        """Caption and settings."""
        return asdict(self.post)

    def violations(self, hosts: HostPolicy) -> Iterator[Violation | str]:
        """Yield all that TikTok would refuse, as far as it can be known without the network."""
        yield from check_privacy(self.post)
        yield from check_title(self.post.title)
        yield from check_branding(self.post)
        yield from self.media.violations(hosts)
        yield from _check_cover(self.post, self.media)

    def violations_for(self, creator: CreatorInfo) -> Iterator[Violation]:
        """Yield what this creator may not post: too long a video, a privacy level that is not offered."""
        yield from self.media.violations_for(creator)
        yield from check_offered(self.post, creator)

    def adapted_to(self, creator: CreatorInfo) -> "DirectVideo":
        """Leave off, with a warning, what the creator has switched off: TikTok would do the same silently."""
        post = self.post
        _warn(creator, "allow_comment", creator.comment_disabled and not post.disable_comment)
        _warn(creator, "allow_duet", creator.duet_disabled and not post.disable_duet)
        _warn(creator, "allow_stitch", creator.stitch_disabled and not post.disable_stitch)
        return replace(
            self,
            post=replace(
                post,
                disable_comment=post.disable_comment or creator.comment_disabled,
                disable_duet=post.disable_duet or creator.duet_disabled,
                disable_stitch=post.disable_stitch or creator.stitch_disabled,
            ),
        )

    def init(self, source: SourceInfo, check: Check) -> Call[Started]:
        """Return the call of TikTok's "Direct Post" page."""
        return init_video(self.post, source, check)


class DirectSettings(Protocol):
    """The settings that direct posts of every kind have."""

    @property
    def privacy_level(self) -> str:
        """Who may see it."""

    @property
    def brand_content_toggle(self) -> bool:
        """Whether it is a paid partnership."""


def check_privacy(post: DirectSettings) -> Iterator[Violation]:
    """Yield a privacy level that TikTok does not know."""
    if post.privacy_level not in list(PrivacyLevel):
        yield Violation(
            "privacy_level",
            repr(post.privacy_level),
            "TikTok's four",
            f"take one of {', '.join(PrivacyLevel)}",
        )


def check_branding(post: DirectSettings) -> Iterator[Violation]:
    """Yield a paid partnership that only its creator could see."""
    if post.privacy_level == PrivacyLevel.SELF_ONLY and post.brand_content_toggle:
        yield Violation(
            "privacy_level",
            "SELF_ONLY with brand_content=True",
            "what others can see",
            "take another privacy level, or brand_content=False",
        )


def check_offered(post: DirectSettings, creator: CreatorInfo) -> Iterator[Violation]:
    """Yield a privacy level that this creator does not offer now."""
    if post.privacy_level not in creator.privacy_level_options:
        yield Violation(
            "privacy_level",
            post.privacy_level,
            f"what {creator.creator_username} offers now",
            f"take one of {', '.join(creator.privacy_level_options)}",
        )


def _check_cover(post: VideoPost, video: VideoMedia) -> Iterator[Violation]:
    cover = post.video_cover_timestamp_ms
    if cover is None:
        return
    known = video.duration_seconds
    last = int((MAX_DURATION_SECONDS if known is None else known) * 1000)
    if not 0 <= cover <= last:
        of_what = "the longest video that TikTok takes" if known is None else "the video's length"
        yield Violation(
            "cover_timestamp_ms",
            f"{cover} ms",
            f"0 to {last} ms, {of_what}",
            "TikTok would silently take the first frame",
        )


def _warn(creator: CreatorInfo, parameter: str, has_no_effect: bool) -> None:
    if has_no_effect:
        log.warning(
            "%s has no effect: %s has switched it off in TikTok.", parameter, creator.creator_username
        )
