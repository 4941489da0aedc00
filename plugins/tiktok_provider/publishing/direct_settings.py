"""Settings that direct posts of every kind have, and what TikTok or the creator would refuse of them."""

import logging
from collections.abc import Iterator
from typing import Protocol

from tiktok_provider.api.accounts import CreatorInfo
from tiktok_provider.api.posting import PrivacyLevel
from tiktok_provider.publishing.media.violations import Violation

log = logging.getLogger(__name__)


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


def warn_of_switched_off(creator: CreatorInfo, parameter: str, has_no_effect: bool) -> None:
    """Warn of a permission that the creator has switched off: TikTok leaves it off silently."""
    if has_no_effect:
        log.warning(
            "%s has no effect: %s has switched it off in TikTok.", parameter, creator.creator_username
        )
