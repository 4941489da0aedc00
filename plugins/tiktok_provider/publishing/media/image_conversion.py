"""Make a photo one that TikTok takes: a JPEG that fits into 1080 x 1920, upright, without metadata."""

import io
from typing import BinaryIO

from PIL import Image, ImageOps, UnidentifiedImageError

from tiktok_provider.publishing.media.image_checks import FORMATS, MAX_IMAGE_BYTES

# What every known client of TikTok's may send; the longer side lies as the photo does.
SHORT_SIDE, LONG_SIDE = 1080, 1920
# More would take too much memory to decode (200 MB for these); of a JPEG fewer are decoded.
MAX_PIXELS, MAX_JPEG_PIXELS = 50_000_000, 100_000_000
_QUALITY = 92
_WHITE = (255, 255, 255)


class NotConvertedError(Exception):
    """The photo cannot be converted; the message goes on after "photo file X"."""


def converted(source: BinaryIO, size_bytes: int) -> bytes | None:
    """Return a photo as TikTok takes it; None if it is one already.

    Photos with metadata are converted, too: these can say where and by whom they were taken.

    :param source: the file, from its start.
    :param size_bytes: its length.
    :raises NotConvertedError: it is no image, is damaged, or has too many pixels.
    """
    try:
        with Image.open(source) as image:
            most = MAX_JPEG_PIXELS if image.format in ("JPEG", "MPO") else MAX_PIXELS
            if image.width * image.height > most:
                raise NotConvertedError(
                    f"has {image.width} x {image.height} pixels, allowed: {most:,} in all"
                )
            return None if _is_fine(image, size_bytes) else _jpeg(image)
    except Image.DecompressionBombError:
        raise NotConvertedError(f"has too many pixels, allowed: {MAX_JPEG_PIXELS:,}") from None
    except (UnidentifiedImageError, SyntaxError, ValueError) as error:
        raise NotConvertedError(f"is no image that can be read ({type(error).__name__})") from None
    except OSError as error:
        if error.errno is not None:
            # The storage's: a retry reads it again.
            raise
        raise NotConvertedError(
            "is damaged: it ends before its pixels do, or they cannot be decoded"
        ) from None


def _is_fine(image: Image.Image, size_bytes: int) -> bool:
    short, long = sorted(image.size)
    fits = short <= SHORT_SIDE and long <= LONG_SIDE and size_bytes <= MAX_IMAGE_BYTES
    plain = not image.getexif() and not {"xmp", "comment", "photoshop"} & image.info.keys()
    shown_alike = image.mode in ("RGB", "RGBA", "L")
    return (
        fits
        and plain
        and shown_alike
        and image.format in FORMATS
        and not getattr(image, "is_animated", False)
    )


def _jpeg(image: Image.Image) -> bytes:
    box = (SHORT_SIDE, LONG_SIDE) if image.height >= image.width else (LONG_SIDE, SHORT_SIDE)
    # Of a JPEG only as many pixels are decoded as are needed; anything else is made smaller before it is copied.
    image.draft("RGB", box)
    profile = image.info.get("icc_profile") if image.mode in ("RGB", "RGBA", "L") else None
    if image.mode[0] == "I":
        # 16 bits of grey: Pillow would cut off all above 255.
        image = image.convert("I").point(lambda value: value * (1 / 257)).convert("L")
    elif "transparency" in image.info or "A" in image.mode:
        image = image.convert("RGBA")
    elif image.mode not in ("RGB", "L"):
        image = image.convert("RGB")
    image.thumbnail(box, Image.Resampling.LANCZOS, reducing_gap=2.0)
    small = ImageOps.exif_transpose(image)
    file = io.BytesIO()
    _flat(small).save(file, "JPEG", quality=_QUALITY, optimize=True, icc_profile=profile)
    return file.getvalue()


def _flat(image: Image.Image) -> Image.Image:
    """JPEG knows no transparency: what is behind is white."""
    if image.mode != "RGBA":
        return image.convert("RGB")
    page = Image.new("RGB", image.size, _WHITE)
    page.paste(image, mask=image.getchannel("A"))
    return page
