"""Video posts. Sources: TikTok's "Direct Post" and "Upload" pages."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import ClassVar

from tiktok_provider.api.accounts import CreatorInfo
from tiktok_provider.api.calls import Call
from tiktok_provider.api.hosts import HostPolicy
from tiktok_provider.api.posting import Check, SourceInfo, Started, VideoPost, init_inbox_video, init_video
from tiktok_provider.publishing.direct_settings import (
    check_branding,
    check_offered,
    check_privacy,
    warn_of_switched_off,
)
from tiktok_provider.publishing.media.medium import VideoMedia
from tiktok_provider.publishing.media.text_checks import check_title
from tiktok_provider.publishing.media.video_checks import MAX_DURATION_SECONDS
from tiktok_provider.publishing.media.violations import Violation
from tiktok_provider.publishing.request import Kind, Target
from tiktok_provider.store.posts import Content


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
        warn_of_switched_off(creator, "allow_comment", creator.comment_disabled and not post.disable_comment)
        warn_of_switched_off(creator, "allow_duet", creator.duet_disabled and not post.disable_duet)
        warn_of_switched_off(creator, "allow_stitch", creator.stitch_disabled and not post.disable_stitch)
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


@dataclass(frozen=True, slots=True)
class DraftVideo:
    """A video in the creator's inbox. TikTok ignores texts and settings here: a human adds them in the app."""

    media: VideoMedia

    kind: ClassVar[Kind] = "video"
    target: ClassVar[Target] = Target.DRAFT

    @property
    def content(self) -> Content:
        """Nothing but the media is sent."""
        return {}

    def violations(self, hosts: HostPolicy) -> Iterator[Violation | str]:
        """Yield what TikTok would refuse of the video, as far as it can be known without the network."""
        yield from self.media.violations(hosts)

    def violations_for(self, creator: CreatorInfo) -> Iterator[Violation]:
        """Yield what this creator may not post: too long a video."""
        yield from self.media.violations_for(creator)

    def adapted_to(self, creator: CreatorInfo) -> "DraftVideo":  # noqa: ARG002
        """Return it as it is: the creator chooses the settings in the app."""
        return self

    def init(self, source: SourceInfo, check: Check) -> Call[Started]:
        """Return the call of TikTok's "Upload" page."""
        return init_inbox_video(source, check)


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
