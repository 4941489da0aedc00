"""Words from outside neither steer a terminal nor forge a line of a log."""

import json

import pytest

from tiktok_provider.api.accounts import CreatorInfo
from tiktok_provider.api.calls import Answer, open_envelope, parse
from tiktok_provider.error_table import api_error, oauth_error, post_failed
from tiktok_provider.exceptions import TikTokError
from tiktok_provider.plain_text import one_line, plain_text
from tiktok_provider.store.requests import adapter
from tiktok_provider.store.serialization import decode
from tiktok_provider.store.token_sets import TokenState

TITLE = "\x1b]0;owned\x07\x1b[2J"


@pytest.mark.parametrize("words", [TITLE, "\x9b31m", "a\rb", "\u202egnp.exe", "\x00", "\u2028", "\ud800"])
def test_nothing_that_steers_a_terminal_is_left(words: str) -> None:
    assert not set(plain_text(words)) & set("\x1b\x07\x9b\r\u202e\x00\u2028\ud800")


@pytest.mark.parametrize("caption", ["Grüße, 世界!\n#spring\tnow", "👩‍👩‍👧 ❤️ 🏳️‍🌈", "עברית"])
def test_captions_stay_as_they_are(caption: str) -> None:
    assert plain_text(caption) == caption


def test_a_sentence_quotes_one_line() -> None:
    assert one_line("slow\n[ERROR] forged\x1b[31m down") == "slow [ERROR] forged[31m down"


@pytest.mark.parametrize(
    "error",
    [
        api_error(f"x{TITLE}", 400, detail=f"slow\n{TITLE}", log_id=TITLE),
        oauth_error(f"x{TITLE}", 400, detail=f"slow\n{TITLE}", log_id=TITLE),
        post_failed("v_pub_1", f"x{TITLE}"),
    ],
)
def test_tiktoks_words_are_plain_in_every_error(error: Exception) -> None:
    assert "\x1b" not in str(error)
    assert "slow ]0" in str(error) or "slow" not in str(error)


def test_tiktoks_words_are_plain_in_every_answer() -> None:
    fields = {
        "creator_username": f"mia{TITLE}",
        "privacy_level_options": [f"SELF_ONLY{TITLE}"],
        "max_video_post_duration_sec": 60,
    }
    found = parse(CreatorInfo, fields)
    assert (found.creator_username, found.privacy_level_options) == (
        "mia]0;owned[2J",
        ("SELF_ONLY]0;owned[2J",),
    )


def test_the_words_of_whatever_answers_in_tiktoks_place_are_plain() -> None:
    with pytest.raises(Exception, match="no JSON object") as error:
        open_envelope(Answer(200, {"content-type": f"text/html{TITLE}"}, b"<html>"))
    assert "\x1b" not in str(error.value)


@pytest.mark.parametrize("code", ["store_busy", "anything_else"])
def test_the_words_of_whatever_answers_in_the_stores_place_are_plain(code: str) -> None:
    document = {"error": code, "message": f"first\n{TITLE}second"}
    with pytest.raises(TikTokError) as error:
        decode(Answer(503, {}, json.dumps(document).encode()), adapter(TokenState))
    assert str(error.value) == "first\n]0;owned[2Jsecond"
