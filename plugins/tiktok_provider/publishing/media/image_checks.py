"""What TikTok takes of a photo. Source: TikTok's "Media Transfer Guide"; "1080p" is read as the shorter side."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from PIL import Image

from tiktok_provider.publishing.media.violations import Violation

MAX_IMAGE_BYTES = 20_000_000
MAX_SHORT_SIDE = 1080
FORMATS = ("JPEG", "WEBP")
# A JPEG with more pictures behind the first, as many phones write it.
_MULTI_PICTURE = "MPO"
# Looked for only to say what it is.
_OTHER_FORMATS = ("PNG", "GIF", "BMP", "TIFF")
_ORIENTATION_TAG: Final = 0x0112
_ON_THE_SIDE = (5, 6, 7, 8)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """What an image's headers say.

    :param format: in Pillow's words; empty if it is no image.
    :param width: pixels, as it is shown.
    :param size_bytes: length of the file.
    """

    format: str
    width: int = 0
    height: int = 0
    size_bytes: int = 0


def read_facts(head: bytes, size_bytes: int) -> ImageFacts:
    """Return what the first bytes of an image say; its pixels are not decoded.

    :param size_bytes: length of the whole.
    """
    try:
        with Image.open(io.BytesIO(head), formats=(*FORMATS, *_OTHER_FORMATS)) as image:
            width, height = image.size
            if image.getexif().get(_ORIENTATION_TAG) in _ON_THE_SIDE:
                width, height = height, width
            found = _plain_format(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return ImageFacts(format="", size_bytes=size_bytes)
    return ImageFacts(format=found, width=width, height=height, size_bytes=size_bytes)


def _plain_format(image: Image.Image) -> str:
    return "JPEG" if image.format == _MULTI_PICTURE else str(image.format)


def check_image(field: str, location: str, facts: ImageFacts) -> Iterator[Violation]:
    """Yield what TikTok would refuse of a photo.

    :param field: the parameter, with the photo's index.
    :param location: where it lies, safe to print.
    """
    if facts.format not in FORMATS:
        found = facts.format or "no image"
        yield Violation(field, found, "JPEG or WebP", f"{location}: convert it, or give the file in 'photos'")
        return
    if facts.size_bytes > MAX_IMAGE_BYTES:
        yield Violation(
            field, f"{facts.size_bytes:,} bytes", f"{MAX_IMAGE_BYTES:,}", f"{location}: compress it"
        )
    if min(facts.width, facts.height) > MAX_SHORT_SIDE:
        yield Violation(
            field,
            f"{facts.width} x {facts.height} pixels",
            f"a shorter side of {MAX_SHORT_SIDE}",
            f"{location}: make it smaller, or give the file in 'photos'",
        )
