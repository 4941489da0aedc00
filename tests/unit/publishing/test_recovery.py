"""The table of what a later try may do."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tiktok_provider.publishing.recovery import Next, differences, next_step
from tiktok_provider.store.posts import PostRecord, PostState, Source

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
FILE, OTHER_FILE = "a file of 9 bytes, ETag a", "a file of 9 bytes, ETag b"
CAPTION, OTHER_CAPTION = {"title": "Hello"}, {"title": "Hallo"}
ALIVE, EXPIRED = NOW + timedelta(minutes=20), NOW + timedelta(seconds=10)


def record(state: PostState, source: Source = "file", url_expires_at: datetime | None = None) -> PostRecord:
    has_id = state in (PostState.UPLOADING, PostState.FINISHING)
    return PostRecord(
        conn_id="tiktok_default",
        post_key="spring",
        state=state,
        generation=1,
        kind="video",
        source=source,
        fingerprint=FILE,
        content=CAPTION,
        publish_id="v_pub_file~1" if has_id else None,
        encrypted_upload_url="sealed" if url_expires_at else None,
        url_expires_at=url_expires_at,
    )


@pytest.mark.parametrize(
    ("state", "source", "expires", "wanted"),
    [
        (PostState.CLAIMED, "file", None, Next.INIT),
        (PostState.CLAIMED, "url", None, Next.INIT),
        (PostState.INTENDED, "file", None, Next.INIT),
        (PostState.INTENDED, "url", None, Next.ASK_A_PERSON),
        (PostState.UPLOADING, "file", ALIVE, Next.RESUME),
        (PostState.UPLOADING, "file", EXPIRED, Next.INIT),
        (PostState.FINISHING, "file", ALIVE, Next.RESEND_LAST),
        (PostState.FINISHING, "file", EXPIRED, Next.POLL),
        (PostState.FINISHING, "url", None, Next.POLL),
        (PostState.FAILED, "file", ALIVE, Next.INIT),
        (PostState.FAILED, "url", None, Next.INIT),
        (PostState.OUT, "file", ALIVE, Next.RETURN),
        (PostState.IN_INBOX, "url", None, Next.RETURN),
        (PostState.UNCERTAIN, "url", None, Next.ASK_A_PERSON),
    ],
)
def test_what_is_on_record_decides(
    state: PostState, source: Source, expires: datetime | None, wanted: Next
) -> None:
    assert next_step(record(state, source, expires), FILE, CAPTION, NOW) == wanted


def test_an_uncertain_post_with_a_publish_id_is_asked_for_again() -> None:
    found = replace(record(PostState.UNCERTAIN), publish_id="v_pub_file~1")
    assert next_step(found, FILE, CAPTION, NOW) == Next.POLL


def test_two_files_never_go_into_one_upload() -> None:
    assert next_step(record(PostState.UPLOADING, "file", ALIVE), OTHER_FILE, CAPTION, NOW) == Next.INIT
    assert next_step(record(PostState.FINISHING, "file", ALIVE), OTHER_FILE, CAPTION, NOW) == Next.POLL


def test_a_caption_that_was_mended_before_the_last_byte_goes_out_as_mended() -> None:
    assert next_step(record(PostState.UPLOADING, "file", ALIVE), FILE, OTHER_CAPTION, NOW) == Next.INIT
    assert next_step(record(PostState.FINISHING, "file", ALIVE), FILE, OTHER_CAPTION, NOW) == Next.RESEND_LAST


def test_what_differs_is_said_in_words() -> None:
    found = record(PostState.OUT)
    assert differences(found, FILE, CAPTION) == []
    assert differences(found, None, CAPTION) == [], "media that are gone cannot differ"
    assert differences(found, OTHER_FILE, OTHER_CAPTION) == [
        f"the media are now {OTHER_FILE}, on record are {FILE}",
        "title is now 'Hallo', on record is 'Hello'",
    ]
