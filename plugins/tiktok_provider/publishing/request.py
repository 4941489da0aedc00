"""What a DAG asks to be published: one value per kind of post, which knows all that is particular to the kind."""

from abc import abstractmethod
from collections.abc import Iterable
from enum import Enum
from typing import ClassVar, Literal, Protocol, TypeVar

from tiktok_provider.api.accounts import CreatorInfo
from tiktok_provider.api.calls import Call
from tiktok_provider.api.hosts import HostPolicy
from tiktok_provider.api.posting import Check, SourceInfo, Started
from tiktok_provider.exceptions import InvalidInputError
from tiktok_provider.publishing.media.medium import Media
from tiktok_provider.publishing.media.violations import Violation
from tiktok_provider.publishing.waiting.polling import WaitFor
from tiktok_provider.store.posts import Content
from tiktok_provider.store.rate_limits import Cap

Kind = Literal["video", "photos"]
RequestT = TypeVar("RequestT", bound="PostRequest")


class Target(Enum):
    """Where a post goes.

    ``cap``: what TikTok allows of these per day. ``wait_for``: which of TikTok's statuses ends the wait for one.
    ``needs_creator_info``: whether TikTok wants the creator to be asked for before each init. ``scope``: what the
    creator must have granted.
    """

    DIRECT_POST = (Cap.POSTS, "complete", True, "video.publish")
    """Visible at once."""
    DRAFT = (Cap.DRAFTS, "inbox", False, "video.upload")
    """In the creator's inbox, where a human finishes it."""

    def __init__(self, cap: Cap, wait_for: WaitFor, needs_creator_info: bool, scope: str) -> None:
        self.cap = cap
        self.wait_for = wait_for
        self.needs_creator_info = needs_creator_info
        self.scope = scope


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
