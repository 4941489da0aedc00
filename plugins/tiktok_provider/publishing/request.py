"""What a DAG asks to be published, and whether TikTok would take it: everything that is checked beforehand."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tiktok_provider.api.accounts import CreatorInfo
from tiktok_provider.api.hosts import HostPolicy
from tiktok_provider.api.posting import PrivacyLevel, VideoPost
from tiktok_provider.exceptions import InvalidInputError
from tiktok_provider.publishing.media.text_checks import check_title
from tiktok_provider.publishing.media.video_checks import VideoFacts, check, probe
from tiktok_provider.publishing.media.video_file import VideoFile
from tiktok_provider.publishing.media.video_url import VideoUrl
from tiktok_provider.publishing.media.violations import Violation
from tiktok_provider.store.posts import Source

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class VideoOrder:
    """A video, in a file or at a URL that TikTok pulls from, and how it is to be posted."""

    video: VideoFile | VideoUrl
    post: VideoPost

    @property
    def source(self) -> Source:
        """Where the video comes from, in the store's words."""
        return "file" if isinstance(self.video, VideoFile) else "url"


def check_types(values: Mapping[str, tuple[Any, tuple[type, ...]]]) -> None:
    """Check that parameters are of their types, which templates and mapped values can spoil.

    :param values: for each parameter its value and the types that it may have.
    :raises InvalidInputError: with every violation.
    """
    violations = [
        f"{name} is {_shown(value)}, it must be of type {' or '.join(kind.__name__ for kind in kinds)}"
        for name, (value, kinds) in values.items()
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds)
    ]
    if violations:
        raise InvalidInputError(violations)


def _shown(value: Any) -> str:
    """Show a plain value; of any other only the type: a list or a dict may hold a signed URL."""
    plain = isinstance(value, str | int | float | None)
    return repr(value) if plain else f"of type {type(value).__name__}"


def check_locally(order: VideoOrder, hosts: HostPolicy) -> VideoFacts | None:
    """Check all that needs no network, and return what the file is; None for a video that TikTok pulls.

    :param hosts: origins that may be anything, see ``VideoUrl.violations``.
    :raises InvalidInputError: with every violation.
    """
    violations: list[Violation | str] = [*_check_post(order.post)]
    facts = None
    if isinstance(order.video, VideoUrl):
        violations.extend(order.video.violations(hosts))
    else:
        try:
            facts = probe(order.video)
        except InvalidInputError as error:
            violations.extend(error.violations)
        else:
            violations.extend(check(facts))
    violations.extend(_check_cover(order.post, facts))
    if violations:
        raise InvalidInputError([str(violation) for violation in violations])
    return facts


def check_creator(order: VideoOrder, facts: VideoFacts | None, creator: CreatorInfo) -> VideoPost:
    """Check the order against what this creator offers, and return the post as it can go out.

    Of a video that TikTok pulls nothing is known here: TikTok itself checks its length.

    Interactions that the creator has switched off stay off, with a warning: TikTok would do the same silently.

    :raises InvalidInputError: with every violation.
    """
    violations = [
        violation
        for violation in (check(facts, creator.max_video_post_duration_sec) if facts else ())
        if violation.field == "video duration"
    ]
    if order.post.privacy_level not in creator.privacy_level_options:
        violations.append(
            Violation(
                "privacy_level",
                order.post.privacy_level,
                f"what {creator.creator_username} offers now ({', '.join(creator.privacy_level_options)})",
                "take one of these",
            )
        )
    if violations:
        raise InvalidInputError([str(violation) for violation in violations])
    return _without_disabled_interactions(order.post, creator)


def _check_post(post: VideoPost) -> Iterator[Violation]:
    if post.privacy_level not in list(PrivacyLevel):
        yield Violation(
            "privacy_level", repr(post.privacy_level), ", ".join(PrivacyLevel), "take one of these"
        )
    yield from check_title(post.title)
    if post.privacy_level == PrivacyLevel.SELF_ONLY and post.brand_content_toggle:
        yield Violation(
            "privacy_level",
            "SELF_ONLY with brand_content=True",
            "branded content that others can see",
            "take another privacy level, or brand_content=False",
        )


def _check_cover(post: VideoPost, facts: VideoFacts | None) -> Iterator[Violation]:
    cover, end = post.video_cover_timestamp_ms, facts.duration_seconds if facts else None
    if cover is not None and (cover < 0 or (end is not None and cover > end * 1000)):
        limit = f"0 to {int(end * 1000)} ms, the video's length" if end is not None else "0 ms and later"
        yield Violation(
            "cover_timestamp_ms", f"{cover} ms", limit, "TikTok would silently take the first frame"
        )


def _without_disabled_interactions(post: VideoPost, creator: CreatorInfo) -> VideoPost:
    _warn(creator, "allow_comment", creator.comment_disabled and not post.disable_comment)
    _warn(creator, "allow_duet", creator.duet_disabled and not post.disable_duet)
    _warn(creator, "allow_stitch", creator.stitch_disabled and not post.disable_stitch)
    return replace(
        post,
        disable_comment=post.disable_comment or creator.comment_disabled,
        disable_duet=post.disable_duet or creator.duet_disabled,
        disable_stitch=post.disable_stitch or creator.stitch_disabled,
    )


def _warn(creator: CreatorInfo, parameter: str, in_vain: bool) -> None:
    if in_vain:
        log.warning(
            "%s has no effect: %s has switched it off in TikTok.", parameter, creator.creator_username
        )
