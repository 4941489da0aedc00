"""What becomes of photos that TikTok would refuse."""

import errno
import io
from typing import Any

import pytest
from PIL import Image

from tiktok_provider.publishing.media.image_checks import read_facts
from tiktok_provider.publishing.media.image_conversion import NotConvertedError, converted


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def converted_image(content: bytes) -> Image.Image:
    new = converted(io.BytesIO(content), len(content))
    assert new is not None
    return Image.open(io.BytesIO(new))


def test_sixteen_bits_of_grey_keep_their_brightness() -> None:
    image = Image.new("I;16", (20, 20), 20000)
    pixel: Any = converted_image(saved(image, "PNG")).convert("L").getpixel((10, 10))
    assert abs(pixel - 20000 / 257) <= 2


@pytest.mark.parametrize(
    ("image", "options"),
    [
        (Image.new("RGBA", (20, 20), (255, 0, 0, 0)), {}),
        (Image.new("RGB", (20, 20), (255, 0, 254)), {"transparency": (255, 0, 254)}),
    ],
)
def test_what_is_transparent_is_white(image: Image.Image, options: dict[str, Any]) -> None:
    pixel: Any = converted_image(saved(image, "PNG", **options)).getpixel((10, 10))
    assert min(pixel) >= 250


def test_a_jpeg_for_print_is_converted() -> None:
    assert converted_image(saved(Image.new("CMYK", (20, 20)), "JPEG")).mode == "RGB"


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_tiny_file_with_very_many_pixels_is_refused() -> None:
    content = saved(Image.new("P", (10_000, 9_900)), "PNG")
    with pytest.raises(NotConvertedError, match="has 10000 x 9900 pixels"):
        converted(io.BytesIO(content), len(content))


def test_a_file_that_is_cut_off_is_refused_and_a_fault_of_the_storage_is_not() -> None:
    content = saved(Image.new("RGB", (3000, 2000)), "PNG")
    with pytest.raises(NotConvertedError):
        converted(io.BytesIO(content[: len(content) // 2]), len(content))

    class Away(io.BytesIO):
        def read(self, *_: Any) -> bytes:
            raise ConnectionResetError(errno.ECONNRESET, "reset by peer")

    with pytest.raises(ConnectionResetError):
        converted(Away(content), len(content))


def test_a_jpeg_with_a_second_picture_behind_is_a_jpeg() -> None:
    pictures = [Image.new("RGB", (40, 40), colour) for colour in ("teal", "coral")]
    content = saved(pictures[0], "MPO", save_all=True, append_images=pictures[1:])
    assert read_facts(content, len(content)).format == "JPEG"
    assert converted_image(content).size == (40, 40)
