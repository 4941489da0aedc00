"""A video that TikTok pulls from a URL. Source: TikTok's "Media Transfer Guide", "PULL_FROM_URL"."""

import hashlib
from collections.abc import Callable, Iterator, Sequence

from tiktok_provider.api.accounts import CreatorInfo
from tiktok_provider.api.hosts import HostPolicy
from tiktok_provider.api.posting import SourceInfo, url_source
from tiktok_provider.publishing.media.medium import T, Transfers
from tiktok_provider.publishing.media.public_url import PublicUrl
from tiktok_provider.publishing.media.violations import Violation
from tiktok_provider.store.posts import Source


class VideoUrl(PublicUrl):
    """Where TikTok fetches a video. Nothing is asked of it from here."""

    source: Source = "url"
    by_place = False
    # Only TikTok could tell, once it has pulled the video.
    duration_seconds: float | None = None

    def __repr__(self) -> str:
        return f"VideoUrl({self.location!r})"

    @property
    def fingerprint(self) -> str:
        """What the same video is known by: a signed URL's query changes with every signature."""
        return f"URL {self.location}"

    @property
    def digest(self) -> str:
        """A hash of its name: what is behind the URL is not read."""
        return hashlib.sha256(self.name.encode()).hexdigest()

    def prepare(self, alive: Callable[[], None]) -> SourceInfo:  # noqa: ARG002
        """Return what init is sent of it: there is nothing to do before."""
        return url_source(self.url)

    def transfer(self, transfers: Transfers[T]) -> T:
        """Let TikTok pull it."""
        return transfers.pull(self)

    def violations_for(self, creator: CreatorInfo) -> Sequence[Violation]:  # noqa: ARG002
        """Return nothing: TikTok itself checks what it pulls."""
        return ()

    def violations(self, hosts: HostPolicy) -> Iterator[Violation]:
        """Yield what TikTok would refuse.

        :param hosts: what ``[tiktok] allowed_hosts`` lists, such as a server beside the sandbox, needs no check.
        """
        if violation := self.violation("video_url", hosts):
            yield violation
