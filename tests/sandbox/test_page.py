"""People see every post with the media that arrived, and captions cannot break the page."""

import asyncio
import html
import pathlib
import re
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from tiktok_sandbox.clips import make_clip, make_image
from tiktok_sandbox.page import page_routes


class Album:
    """A few posts without a sandbox around them."""

    def __init__(self, *rows: dict[str, Any]) -> None:
        self.rows = list(rows)
        self.files: dict[tuple[str, int], pathlib.Path] = {}

    def feed(self) -> list[dict[str, Any]]:
        return self.rows

    def media_path(self, publish_id: str, index: int = 0) -> pathlib.Path | None:
        return self.files.get((publish_id, index))


def post(number: int = 1, **fields: Any) -> dict[str, Any]:
    return {
        "publish_id": f"v_pub_file~v2-1.{number}",
        "post_id": str(7_500_000_000_000_000_000 + number),
        "username": "mia",
        "kind": "video",
        "mode": "direct",
        "source": "FILE_UPLOAD",
        "title": f"caption {number}",
        "description": "",
        "privacy_level": "PUBLIC_TO_EVERYONE",
        "disable_comment": False,
        "size": 1_234_567,
        "sha256": f"{number:064x}",
        "photo_sha256s": [],
        "status": "PUBLISH_COMPLETE",
        "deleted": False,
        "created_at": 1_795_000_000.0 + number,
        "posted_at": 1_795_000_100.0 + number,
        "public_at": None,
        **fields,
    }


def get(album: Album, path: str, **headers: str) -> httpx.Response:
    async def fetch() -> httpx.Response:
        transport = httpx.ASGITransport(Starlette(routes=page_routes(album)))
        async with httpx.AsyncClient(transport=transport, base_url="http://sandbox.example") as client:
            return await client.get(path, headers=headers)

    return asyncio.run(fetch())


def page(album: Album, path: str = "/", status: int = 200) -> str:
    answer = get(album, path)
    assert answer.status_code == status, answer.text
    return answer.text


def test_an_empty_feed_says_what_to_do() -> None:
    text = page(Album())
    assert "Nothing has been posted yet" in text
    assert "http://sandbox.example" in text
    assert "python -m tiktok_sandbox --demo" in text


def test_a_post_shows_its_media_and_everything_that_is_known_of_it() -> None:
    text = page(Album(post(public_at=1_795_000_200.0)))
    assert '<video controls playsinline preload="metadata" src="/sandbox/media/v_pub_file~v2-1.1' in text
    for fact in (
        "caption 1",
        "@mia",
        "PUBLIC_TO_EVERYONE",
        "PUBLISH_COMPLETE",
        "v_pub_file~v2-1.1",
        "7500000000000000001",
        f"{1:064x}",
        "1,234,567 bytes",
        "2026-11-18 11:06:41 UTC",
        "2026-11-18 11:08:21 UTC",
        "2026-11-18 11:10:00 UTC",
    ):
        assert fact in text, fact


def test_the_newest_post_comes_first() -> None:
    text = page(Album(post(1), post(2), post(3, posted_at=None, status="SEND_TO_USER_INBOX", post_id=None)))
    assert re.findall(r"caption \d", text) == ["caption 2", "caption 1", "caption 3"]
    assert "2 posts and 1 draft" in text


@pytest.mark.parametrize("level", ["SELF_ONLY", "MUTUAL_FOLLOW_FRIENDS", "FOLLOWER_OF_CREATOR"])
def test_a_post_that_is_not_public_wears_a_badge(level: str) -> None:
    assert f'<li class="{level}"' in page(Album(post(privacy_level=level)))


@pytest.mark.parametrize(
    ("flag", "label"),
    [
        ("disable_comment", "comments off"),
        ("is_aigc", "AI-generated"),
        ("brand_content_toggle", "Paid partnership"),
    ],
)
def test_a_flag_is_shown_only_where_it_is_set(flag: str, label: str) -> None:
    assert label in page(Album(post(**{flag: True})))
    assert label not in page(Album(post(**{flag: False})))


def test_photos_are_shown_as_a_strip_in_their_order() -> None:
    text = page(Album(post(kind="photo", sha256=None, photo_sha256s=["aa", "bb", "cc"])))
    sources = re.findall(r'<img [^>]*src="([^"]*)"', text)
    media = "/sandbox/media/v_pub_file~v2-1.1"
    assert sources == [media, f"{media}?index=1", f"{media}?index=2"]


NASTY = '<script>alert("1")</script>&\'<img src=x onerror=alert(1)>'


@pytest.mark.parametrize("path", ["/", "/@{}", "/@{}/video/7500000000000000001"])
@pytest.mark.parametrize(
    "field", ["title", "description", "username", "privacy_level", "status", "publish_id", "source"]
)
def test_nothing_that_a_client_sends_becomes_markup(field: str, path: str) -> None:
    nasty = NASTY.replace("/", "") if field == "username" else NASTY
    row = {**post(), field: nasty}
    text = page(Album(row), path.format(row["username"]))
    assert "<script" not in text
    assert "<img" not in text
    assert html.escape(nasty) in text


def test_the_pages_need_nothing_from_elsewhere_and_run_no_script() -> None:
    answer = get(Album(post(), post(2, kind="photo", photo_sha256s=["aa"])), "/")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "<script" not in answer.text
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", answer.text)


def test_the_page_of_a_creator_shows_only_their_posts() -> None:
    text = page(Album(post(1), post(2, username="tom")), "/@tom")
    assert re.findall(r"caption \d", text) == ["caption 2"]


def test_the_page_of_a_post_shows_that_one() -> None:
    text = page(Album(post(1), post(2)), "/@mia/video/7500000000000000001")
    assert re.findall(r"caption \d", text) == ["caption 1"]


@pytest.mark.parametrize(
    "path",
    [
        "/@nobody",
        "/@mia/video/1",
        "/@mia/photo/7500000000000000001",
        "/@tom/video/7500000000000000001",
        "/@mia/video/7500000000000000002",
        "/sandbox/media/nothing",
        "/sandbox/media/v_pub_file~v2-1.1?index=9",
        "/sandbox/media/v_pub_file~v2-1.1?index=-1",
    ],
)
def test_what_is_not_there_or_was_deleted_is_404(path: str) -> None:
    assert "Not here" in page(Album(post(1), post(2, deleted=True)), path, status=404)


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("a.mp4", "video/mp4"),
        ("a.mov", "video/mp4"),
        ("a.webm", "video/webm"),
        ("JPEG", "image/jpeg"),
        ("WEBP", "image/webp"),
    ],
)
def test_media_is_served_in_ranges_as_what_it_is(tmp_path: pathlib.Path, name: str, media_type: str) -> None:
    if "." in name:
        made = make_clip(tmp_path / name, seconds=0.2, width=180, height=320)
    else:
        made = make_image(tmp_path / "a", width=90, height=90, format=name)
    data = made.read_bytes()
    album = Album(post())
    album.files["some~id", 1] = made.rename(tmp_path / "1.media")
    url = "/sandbox/media/some~id?index=1"
    whole = get(album, url)
    part = get(album, url, Range="bytes=10-19")
    assert (whole.content, whole.headers["Content-Type"]) == (data, media_type)
    assert (part.status_code, part.content) == (206, data[10:20])
    assert part.headers["Content-Range"] == f"bytes 10-19/{len(data)}"
