"""Fact sheet section 5.2: the PUT of the chunks, and that every byte is accounted for."""

import re
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, urlsplit, urlunsplit

import httpx
import pytest

from tests.sandbox.conftest import BARE, CHUNK, Creator, Json, MakeCreator, Media, control, data_of
from tiktok_sandbox.client import Sandbox

HOUR = 3600


@pytest.fixture
def small(creator: Creator, clip: Media) -> Json:
    """An upload in one chunk: `publish_id` and `upload_url`."""
    return data_of(creator.init_video(clip.source()))


@pytest.fixture
def large(creator: Creator, two_chunks: Media) -> Json:
    """An upload in two chunks."""
    return data_of(creator.init_video(two_chunks.source(CHUNK)))


def chunk(creator: Creator, made: Json, media: Media, number: int, **changes: str | None) -> httpx.Response:
    first, part = media.chunks(CHUNK)[number]
    return creator.put(made["upload_url"], part, first, media.size, **changes)


def uploaded(creator: Creator, made: Json) -> object:
    return data_of(creator.status(made["publish_id"])).get("uploaded_bytes")


# What passes


def test_chunks_answer_206_and_the_last_one_201(creator: Creator, large: Json, two_chunks: Media) -> None:
    answers = [chunk(creator, large, two_chunks, number).status_code for number in (0, 1)]
    assert answers == [206, 201]


@pytest.mark.parametrize("content_type", ["video/mp4", "video/quicktime", "video/webm"])
def test_each_documented_content_type_passes(
    creator: Creator, small: Json, clip: Media, content_type: str
) -> None:
    response = creator.put(small["upload_url"], clip.data, 0, clip.size, Content_Type=content_type)
    assert response.status_code == 201


@pytest.mark.parametrize("chunks", [1, 2])
def test_the_feed_has_the_sha256_of_exactly_the_bytes_that_were_sent(
    creator: Creator, clip: Media, two_chunks: Media, chunks: int
) -> None:
    media, chunk_size = (clip, None) if chunks == 1 else (two_chunks, CHUNK)
    made = data_of(creator.init_video(media.source(chunk_size)))
    creator.upload(made["upload_url"], media, chunk_size)
    creator.wait_for(made["publish_id"])
    entry = creator.feed_entry(made["publish_id"])
    assert (entry["sha256"], entry["size"]) == (media.sha256, media.size)


def test_the_served_media_is_the_uploaded_file(sandbox: Sandbox, creator: Creator, clip: Media) -> None:
    entry = creator.feed_entry(creator.publish(clip))
    assert BARE.get(httpx.URL(sandbox.url).join(entry["media_url"])).content == clip.data


def test_no_bearer_token_is_needed_because_the_url_carries_one(small: Json) -> None:
    query = parse_qs(urlsplit(small["upload_url"]).query)
    assert {"upload_id", "upload_token"} <= set(query)


def test_every_chunk_is_on_record(creator: Creator, large: Json, two_chunks: Media) -> None:
    for number in (0, 1):
        chunk(creator, large, two_chunks, number)
    chunks = [(c["first"], c["last"], c["answer"]) for c in creator.record(large["publish_id"])["chunks"]]
    last = two_chunks.size - 1
    assert chunks == [(0, CHUNK - 1, 206), (CHUNK, last, 201)]


# The answer


@pytest.mark.parametrize("progress", ["last_index", "count", "absent"])
def test_the_answer_names_the_progress_as_the_switch_says(
    sandbox: Sandbox, creator: Creator, large: Json, two_chunks: Media, progress: str
) -> None:
    sandbox.set_switches(put_progress=progress)
    ranges = [chunk(creator, large, two_chunks, number).headers.get("content-range") for number in (0, 1)]
    total = two_chunks.size
    offset = 1 if progress == "last_index" else 0
    expected = [f"bytes 0-{stored - offset}/{total}" for stored in (CHUNK, total)]
    assert ranges == ([None, None] if progress == "absent" else expected)


@pytest.mark.parametrize("progress", ["last_index", "count", "absent"])
def test_a_416_names_the_progress_too(
    sandbox: Sandbox, creator: Creator, large: Json, two_chunks: Media, progress: str
) -> None:
    sandbox.set_switches(put_progress=progress)
    chunk(creator, large, two_chunks, 0)
    response = chunk(creator, large, two_chunks, 0)
    stored = {"last_index": CHUNK - 1, "count": CHUNK}.get(progress)
    expected = stored and f"bytes 0-{stored}/{two_chunks.size}"
    assert (response.status_code, response.headers.get("content-range")) == (416, expected)


@pytest.mark.parametrize("body", ["empty", "text", "json"])
def test_the_body_of_the_answer_is_as_the_switch_says(
    sandbox: Sandbox, creator: Creator, large: Json, two_chunks: Media, body: str
) -> None:
    sandbox.set_switches(put_body=body)
    for number in (0, 1):
        response = chunk(creator, large, two_chunks, number)
        assert bool(response.content) == (body != "empty")
        assert response.headers.get("content-type", "").startswith("application/json") == (body == "json")


# Bad headers: 400, and nothing is stored

BAD_HEADERS = {
    "no_content_type": {"Content_Type": None},
    "binary": {"Content_Type": "application/octet-stream"},
    "matroska": {"Content_Type": "video/x-matroska"},
    "form": {"Content_Type": "multipart/form-data; boundary=x"},
    "range_without_unit": {"Content_Range": "0-{last}/{total}"},
    "range_in_items": {"Content_Range": "items 0-{last}/{total}"},
    "range_without_total": {"Content_Range": "bytes 0-{last}/*"},
    "range_of_words": {"Content_Range": "bytes zero-last/all"},
    "range_one_longer_than_the_body": {"Content_Range": "bytes 0-{total}/{total}"},
    "range_one_shorter_than_the_body": {"Content_Range": "bytes 0-{shorter}/{total}"},
    "range_backwards": {"Content_Range": "bytes {last}-0/{total}"},
}


@pytest.mark.parametrize("changes", BAD_HEADERS.values(), ids=BAD_HEADERS.keys())
def test_bad_headers_are_refused_and_nothing_is_stored(
    creator: Creator, small: Json, clip: Media, changes: dict[str, str | None]
) -> None:
    numbers = {"last": clip.size - 1, "shorter": clip.size - 2, "total": clip.size}
    filled = {name: value and value.format_map(numbers) for name, value in changes.items()}
    assert creator.put(small["upload_url"], clip.data, 0, clip.size, **filled).status_code == 400
    assert creator.put(small["upload_url"], clip.data, 0, clip.size).status_code == 201


@pytest.mark.parametrize("status", [400, 416])
def test_a_put_without_content_range_is_refused_as_the_switch_says(
    sandbox: Sandbox, creator: Creator, small: Json, clip: Media, status: int
) -> None:
    sandbox.set_switches(missing_content_range=status)
    response = creator.put(small["upload_url"], clip.data, 0, clip.size, Content_Range=None)
    assert response.status_code == status


def test_a_put_without_content_length_is_refused(small: Json, clip: Media) -> None:
    headers = {"Content-Type": "video/mp4", "Content-Range": f"bytes 0-{clip.size - 1}/{clip.size}"}
    response = BARE.put(small["upload_url"], content=iter([clip.data]), headers=headers)
    assert response.request.headers["transfer-encoding"] == "chunked"
    assert response.status_code == 400


@pytest.mark.parametrize("difference", [-1, 1])
def test_another_total_than_announced_is_refused(
    creator: Creator, large: Json, two_chunks: Media, difference: int
) -> None:
    first, part = two_chunks.chunks(CHUNK)[0]
    response = creator.put(large["upload_url"], part, first, two_chunks.size + difference)
    assert response.status_code in {400, 416}
    assert not uploaded(creator, large)


# Order and progress


def test_the_second_chunk_before_the_first_is_refused(
    creator: Creator, large: Json, two_chunks: Media
) -> None:
    assert chunk(creator, large, two_chunks, 1).status_code == 416
    assert [chunk(creator, large, two_chunks, number).status_code for number in (0, 1)] == [206, 201]


@pytest.mark.parametrize("answer", [416, 206])
def test_a_stored_chunk_sent_again_is_answered_as_the_switch_says_and_counts_once(
    sandbox: Sandbox, creator: Creator, large: Json, two_chunks: Media, answer: int
) -> None:
    sandbox.set_switches(stored_range_again=answer)
    answers = [chunk(creator, large, two_chunks, number).status_code for number in (0, 0, 1)]
    assert answers == [206, answer, 201]
    creator.wait_for(large["publish_id"])
    assert creator.feed_entry(large["publish_id"])["sha256"] == two_chunks.sha256


@pytest.mark.parametrize("size", [CHUNK - 1, CHUNK + 1], ids=["shorter", "longer"])
def test_a_chunk_with_other_borders_than_planned_is_refused(
    creator: Creator, large: Json, two_chunks: Media, size: int
) -> None:
    response = creator.put(large["upload_url"], two_chunks.data[:size], 0, two_chunks.size)
    assert response.status_code in {400, 416}
    assert not uploaded(creator, large)


def test_the_last_chunk_must_take_the_remainder(creator: Creator, large: Json, two_chunks: Media) -> None:
    assert chunk(creator, large, two_chunks, 0).status_code == 206
    part = two_chunks.data[CHUNK : 2 * CHUNK]
    response = creator.put(large["upload_url"], part, CHUNK, two_chunks.size)
    assert response.status_code in {400, 416}


def test_a_chunk_that_leaves_a_gap_is_refused(creator: Creator, large: Json, two_chunks: Media) -> None:
    chunk(creator, large, two_chunks, 0)
    part = two_chunks.data[CHUNK + 1 :]
    assert creator.put(large["upload_url"], part, CHUNK + 1, two_chunks.size).status_code in {400, 416}


def test_a_finished_upload_takes_no_other_bytes(creator: Creator, small: Json, clip: Media) -> None:
    assert creator.put(small["upload_url"], clip.data, 0, clip.size).status_code == 201
    other = bytes(reversed(clip.data))
    assert creator.put(small["upload_url"], other, 0, clip.size).status_code == 416
    creator.wait_for(small["publish_id"])
    assert creator.feed_entry(small["publish_id"])["sha256"] == clip.sha256


def test_two_at_once_store_the_chunk_once(creator: Creator, small: Json, clip: Media) -> None:
    def put(_: int) -> int:
        return creator.put(small["upload_url"], clip.data, 0, clip.size).status_code

    with ThreadPoolExecutor(4) as pool:
        answers = sorted(pool.map(put, range(4)))
    assert answers == [201, 416, 416, 416]
    creator.wait_for(small["publish_id"])
    assert [post["sha256"] for post in creator.sandbox.feed()] == [clip.sha256]


# The life of an upload URL


def test_a_url_lives_for_an_hour(creator: Creator, small: Json, clip: Media) -> None:
    creator.sandbox.advance(HOUR - 1)
    assert creator.put(small["upload_url"], clip.data, 0, clip.size).status_code == 201


def test_an_old_url_is_refused(creator: Creator, small: Json, clip: Media) -> None:
    creator.sandbox.advance(HOUR + 1)
    assert creator.put(small["upload_url"], clip.data, 0, clip.size).status_code == 403


def test_the_whole_upload_must_finish_within_the_hour(
    creator: Creator, large: Json, two_chunks: Media
) -> None:
    creator.sandbox.advance(HOUR - 60)
    assert chunk(creator, large, two_chunks, 0).status_code == 206
    creator.sandbox.advance(61)
    assert chunk(creator, large, two_chunks, 1).status_code == 403


def test_a_url_can_be_made_to_expire_now(creator: Creator, small: Json, clip: Media) -> None:
    control(creator.sandbox, "POST", f"/sandbox/upload-urls/{small['publish_id']}/expire")
    assert creator.put(small["upload_url"], clip.data, 0, clip.size).status_code == 403


@pytest.mark.parametrize(("switch", "status"), [("stuck", "PROCESSING_UPLOAD"), ("failed", "FAILED")])
@pytest.mark.parametrize("chunks", [0, 1], ids=["unused", "half_done"])
def test_a_publish_whose_url_expired_unfinished_ends_as_the_switch_says(
    make_creator: MakeCreator, two_chunks: Media, switch: str, status: str, chunks: int
) -> None:
    creator = make_creator()
    creator.sandbox.set_switches(unused_upload=switch)
    made = data_of(creator.init_video(two_chunks.source(CHUNK)))
    for number in range(chunks):
        chunk(creator, made, two_chunks, number)
    creator.sandbox.advance(2 * HOUR)
    assert data_of(creator.status(made["publish_id"]))["status"] == status
    assert creator.sandbox.feed() == []


@pytest.mark.parametrize("name", ["upload_id", "upload_token"])
def test_an_unknown_task_is_not_found(creator: Creator, small: Json, clip: Media, name: str) -> None:
    url = re.sub(rf"({name}=)[^&]+", r"\g<1>999", small["upload_url"])
    allowed = {404} if name == "upload_id" else {403, 404}
    assert creator.put(url, clip.data, 0, clip.size).status_code in allowed


def test_a_url_without_its_query_is_not_found(creator: Creator, small: Json, clip: Media) -> None:
    url = urlunsplit(urlsplit(small["upload_url"])._replace(query=""))
    assert creator.put(url, clip.data, 0, clip.size).status_code == 404


def test_two_uploads_do_not_mix(creator: Creator, clip: Media, two_chunks: Media) -> None:
    one = data_of(creator.init_video(two_chunks.source(CHUNK)))
    two = data_of(creator.init_video(clip.source()))
    assert chunk(creator, one, two_chunks, 0).status_code == 206
    creator.upload(two["upload_url"], clip)
    assert chunk(creator, one, two_chunks, 1).status_code == 201
    for made, media in ((one, two_chunks), (two, clip)):
        creator.wait_for(made["publish_id"])
        assert creator.feed_entry(made["publish_id"])["sha256"] == media.sha256
