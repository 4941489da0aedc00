"""Photos that TikTok pulls from URLs. Source: TikTok's "Photo" and "Media Transfer Guide" pages."""

import hashlib
from collections.abc import Callable, Iterator, Sequence

from tiktok_provider.api.accounts import CreatorInfo
from tiktok_provider.api.hosts import HostPolicy
from tiktok_provider.api.posting import SourceInfo, photo_source
from tiktok_provider.publishing.media.medium import T, Transfers
from tiktok_provider.publishing.media.public_images import check_public_images, numbered
from tiktok_provider.publishing.media.public_url import PublicUrl
from tiktok_provider.publishing.media.violations import Violation
from tiktok_provider.store.posts import Source

MAX_PHOTOS = 35


class PhotoUrls:
    """Where TikTok fetches the photos of one post, in their order.

    :param urls: 1 to 35; their queries may be secrets, and are never shown.
    :param check: ask for each photo before TikTok does.
    """

    source: Source = "url"
    by_place = False

    def __init__(self, urls: Sequence[str], *, check: bool = True) -> None:
        self.urls = tuple(PublicUrl(url) for url in urls)
        self._check = check

    def __repr__(self) -> str:
        return f"PhotoUrls({self.location!r})"

    def __len__(self) -> int:
        return len(self.urls)

    @property
    def parts(self) -> Sequence[PublicUrl]:
        """Each of them."""
        return self.urls

    @property
    def location(self) -> str:
        """The first URL without its query, and how many more there are."""
        return and_more([url.location for url in self.urls])

    @property
    def name(self) -> str:
        """The first URL without its signature, and a hash of all."""
        names = [url.name for url in self.urls]
        return names[0] if len(names) == 1 else f"{and_more(names)} {self.digest}"

    @property
    def fingerprint(self) -> str:
        """What the same photos are known by: a signed URL's query changes with every signature."""
        return f"URLs {self.digest}"

    @property
    def digest(self) -> str:
        """A hash of all names: what is behind the URLs is not read."""
        return hashlib.sha256("\n".join(url.name for url in self.urls).encode()).hexdigest()

    @property
    def secrets(self) -> Sequence[str]:
        """The URLs may be signed: they, and their queries on their own."""
        return [secret for url in self.urls for secret in url.secrets]

    def violations(self, hosts: HostPolicy) -> Iterator[Violation]:
        """Yield what TikTok would refuse of their number and form.

        :param hosts: what ``[tiktok] allowed_hosts`` lists.
        """
        yield from check_number("photo_urls", len(self.urls))
        for index, url in enumerate(self.urls):
            if violation := url.violation(f"photo_urls[{index}]", hosts):
                yield violation

    def violations_for(self, creator: CreatorInfo) -> Sequence[Violation]:  # noqa: ARG002
        """Return nothing: creators differ only in the videos that they may post."""
        return ()

    def transfer(self, transfers: Transfers[T]) -> T:
        """Let TikTok pull them."""
        return transfers.pull(self)

    def prepare(self, alive: Callable[[], None]) -> SourceInfo:
        """Ask for each photo, unless only TikTok may read them, and return what init is sent.

        :raises InvalidInputError: with every photo that TikTok would refuse.
        :raises PhotoUnreachableError: a host does not answer now.
        """
        if self._check:
            check_public_images(list(numbered("photo_urls", self.urls)), alive)
        return photo_source([url.url for url in self.urls])


def check_number(field: str, number: int) -> Iterator[Violation]:
    """Yield a number of photos that TikTok does not take."""
    if not 1 <= number <= MAX_PHOTOS:
        yield Violation(field, f"a list of {number}", f"1 to {MAX_PHOTOS}", "make several posts of more")


def and_more(locations: Sequence[str]) -> str:
    """Return the first of some locations, and how many more there are."""
    if not locations:
        return "nowhere"
    more = len(locations) - 1
    return f"{locations[0]} and {more} more" if more else locations[0]
