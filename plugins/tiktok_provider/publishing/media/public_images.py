"""Are photos where TikTok will fetch them, and as TikTok wants them? Each is asked for as TikTok would do it."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx

from tiktok_provider.exceptions import Actor, InvalidInputError, Retry, TikTokError
from tiktok_provider.publishing.media.image_checks import MAX_IMAGE_BYTES, check_image, read_facts
from tiktok_provider.publishing.media.public_url import PublicUrl
from tiktok_provider.publishing.media.violations import Violation
from tiktok_provider.security.tls import tiktok_tls

# At a time. Each holds no more than the head of its image.
_SIDE_BY_SIDE = 6
# The headers of any image come before; a JPEG may have a long profile and a preview in front of its size.
_HEAD_BYTES = 2_000_000
# Seconds without a byte.
_TIMEOUT = 20.0
# Seconds for one photo; TikTok would wait for longer, and no longer than an hour for all.
_LONGEST_ANSWER = 120.0


class PhotoUnreachableError(TikTokError):
    """The host of a photo does not answer now. Nothing was sent to TikTok; a retry asks again."""

    actor = Actor.DAG_AUTHOR
    retry = Retry.BACKOFF


@dataclass(frozen=True, slots=True)
class PublicImage:
    """One photo as TikTok would fetch it.

    :param field: the parameter, with the photo's index.
    """

    field: str
    url: PublicUrl


def check_public_images(images: Sequence[PublicImage], alive: Callable[[], None]) -> None:
    """Ask for each photo, several at a time.

    :param alive: called after each.
    :raises InvalidInputError: with every photo that TikTok would refuse.
    :raises PhotoUnreachableError: a host does not answer now.
    """
    violations: list[str] = []
    unreachable: list[PhotoUnreachableError] = []
    options = {"timeout": _TIMEOUT, "verify": tiktok_tls(), "follow_redirects": False}
    with httpx.Client(**options) as client, ThreadPoolExecutor(_SIDE_BY_SIDE) as threads:  # type: ignore[arg-type]
        for found in threads.map(lambda image: _examine(client, image), images):
            alive()
            if isinstance(found, PhotoUnreachableError):
                unreachable.append(found)
            else:
                violations += map(str, found)
    if violations:
        raise InvalidInputError(violations)
    if unreachable:
        raise unreachable[0]


def _examine(client: httpx.Client, image: PublicImage) -> list[Violation] | PhotoUnreachableError:
    try:
        with client.stream("GET", image.url.url) as response:
            if response.status_code == 200:
                head, size = _read(response)
                return list(check_image(image.field, image.url.location, read_facts(head, size)))
            return _not_there(image, response.status_code)
    except httpx.HTTPError as error:
        return _unreachable(image, type(error).__name__)
    except (httpx.InvalidURL, UnicodeError):
        return [
            Violation(image.field, "no URL that can be asked for", "https://domain/path", image.url.location)
        ]


def _not_there(image: PublicImage, status: int) -> list[Violation] | PhotoUnreachableError:
    if status >= 500 or status == 429:
        return _unreachable(image, f"HTTP {status}")
    why = "TikTok follows no redirect" if 300 <= status < 400 else "TikTok must get it without a login"
    return [Violation(image.field, f"answered with HTTP {status}", "200", f"{image.url.location}: {why}")]


def _unreachable(image: PublicImage, what: str) -> PhotoUnreachableError:
    return PhotoUnreachableError(
        f"{image.field} cannot be fetched now: {what}. Nothing was sent to TikTok.\n"
        f"It lies at {image.url.location}. TikTok, which fetches it by itself, would fail, too. For URLs that only"
        " TikTok may read, set check_urls=False."
    )


def _read(response: httpx.Response) -> tuple[bytes, int]:
    """Return the head of an answer and its length; of a longer one than TikTok takes, what was read until then."""
    announced = response.headers.get("content-length", "")
    head, length, deadline = bytearray(), 0, time.monotonic() + _LONGEST_ANSWER
    for piece in response.iter_raw():
        length += len(piece)
        if time.monotonic() > deadline:
            raise httpx.ReadTimeout("The photo comes too slowly.", request=response.request)
        head += piece[: max(_HEAD_BYTES - len(head), 0)]
        if length > MAX_IMAGE_BYTES or (announced.isdigit() and len(head) >= _HEAD_BYTES):
            break
    return bytes(head), max(length, int(announced) if announced.isdigit() else 0)


def numbered(field: str, urls: Sequence[PublicUrl]) -> Iterator[PublicImage]:
    """Yield photos under the names of their places in a list, from 0."""
    for index, url in enumerate(urls):
        yield PublicImage(f"{field}[{index}]", url)
