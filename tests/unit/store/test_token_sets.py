"""How tokens are read, judged and kept from view."""

from datetime import UTC, datetime, timedelta

import pytest

from tiktok_provider.api.oauth import TokenResponse
from tiktok_provider.exceptions import UnexpectedAnswerError
from tiktok_provider.store.connection import tokens_in
from tiktok_provider.store.token_sets import StoredTokens, TokenState, granted

NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def answer(**changes: object) -> TokenResponse:
    fields = {
        "access_token": "act.new",
        "expires_in": 86400,
        "refresh_token": "rft.new",
        "refresh_expires_in": 31536000,
        "open_id": "o1",
        "scope": "video.publish",
    }
    return TokenResponse.model_validate({**fields, **changes})


def stored(**changes: object) -> StoredTokens:
    extra = {
        "access_token": "act.old",
        "refresh_token": "rft.old",
        "open_id": "o1",
        "username": "mia",
        **changes,
    }
    tokens = tokens_in("mia", extra, NOW)
    assert tokens is not None
    return tokens


@pytest.mark.parametrize(("expires_in", "refresh_expires_in"), [(86400, 31536000), (60, 3600), (7, 5)])
def test_the_lifetimes_of_the_answer_are_believed(expires_in: int, refresh_expires_in: int) -> None:
    tokens = granted(answer(expires_in=expires_in, refresh_expires_in=refresh_expires_in), NOW)
    assert tokens.access_expires_at == NOW + timedelta(seconds=expires_in)
    assert tokens.refresh_expires_at == NOW + timedelta(seconds=refresh_expires_in)


@pytest.mark.parametrize(
    ("refresh_token", "previous", "end"),
    [
        ("rft.old", stored(refresh_expires_at="2030-05-01T00:00:00Z"), datetime(2030, 5, 1, tzinfo=UTC)),
        ("", stored(refresh_expires_at="2030-05-01T00:00:00Z"), datetime(2030, 5, 1, tzinfo=UTC)),
        ("rft.new", stored(refresh_expires_at="2030-05-01T00:00:00Z"), NOW + 365 * DAY),
        ("rft.new", None, NOW + 365 * DAY),
    ],
)
def test_a_refresh_token_of_which_tiktok_does_not_say_how_long_it_lives(
    refresh_token: str, previous: StoredTokens | None, end: datetime
) -> None:
    said = answer(refresh_token=refresh_token, refresh_expires_in=None)
    assert granted(said, NOW, previous).refresh_expires_at == end


def test_an_answer_without_open_id_leaves_the_one_that_is_known() -> None:
    tokens = granted(answer(open_id=None), NOW, stored())
    assert (tokens.access_token, tokens.open_id, tokens.username) == ("act.new", "o1", "mia")
    assert granted(answer(open_id=None), NOW).open_id == ""


def test_a_blank_refresh_token_leaves_the_one_that_is_there() -> None:
    tokens = granted(answer(refresh_token=" "), NOW, stored())
    assert (tokens.access_token, tokens.refresh_token) == ("act.new", "rft.old")


@pytest.mark.parametrize("blank", [{"access_token": " "}, {"refresh_token": " "}], ids=str)
def test_an_answer_that_leaves_nothing_to_go_on_is_refused(blank: dict[str, str]) -> None:
    with pytest.raises(UnexpectedAnswerError, match="blank"):
        granted(answer(**blank), NOW)


@pytest.mark.parametrize(("open_id", "username"), [("o1", "mia"), ("o2", "")])
def test_the_username_stays_with_its_account(open_id: str, username: str) -> None:
    assert granted(answer(open_id=open_id), NOW, stored()).username == username


def test_a_set_comes_back_from_the_extra_as_it_went_in() -> None:
    tokens = granted(answer(), NOW, stored())
    extra = tokens.to_extra(7)
    assert extra["generation"] == 7
    assert tokens_in("mia", extra, NOW + DAY) == tokens


def test_the_same_set_is_known_again_by_its_refresh_token_and_another_is_not() -> None:
    assert stored().fingerprint == stored(scope="other", access_expires_at="2031-01-01").fingerprint
    assert stored().fingerprint == stored(access_token="").fingerprint
    assert stored().fingerprint != stored(refresh_token="rft.other").fingerprint
    lone = stored(refresh_token="")
    assert lone.fingerprint != stored(refresh_token="", access_token="act.other").fingerprint


def test_tokens_outlive_those_that_end_earlier_and_none_of_the_same_end() -> None:
    tokens = stored(access_expires_at="2030-02-01T12:00:00Z")
    assert tokens.outlives(None)
    assert tokens.outlives(NOW + DAY - timedelta(microseconds=1))
    assert not tokens.outlives(NOW + DAY)
    assert not tokens.outlives(NOW + DAY + timedelta(microseconds=1))


def test_the_generation_comes_with_the_tokens() -> None:
    assert tokens_in("mia", stored().to_extra(7), NOW).generation == 7  # type: ignore[union-attr]
    assert [stored(generation=value).generation for value in ("7", None, 1.5)] == [0, 0, 0]
    assert stored().generation == 0


def test_no_token_shows() -> None:
    shown = f"{stored()!r} {stored()} {answer()!r}"
    assert "act." not in shown
    assert "rft." not in shown


@pytest.mark.parametrize(("left", "needs"), [(299, True), (300, False), (-1, True)])
def test_a_token_with_less_than_five_minutes_needs_a_refresh(left: int, needs: bool) -> None:
    state = TokenState("mia", 1, NOW + timedelta(seconds=left), NOW + DAY, "o1", "")
    assert state.needs_refresh(NOW) is needs
