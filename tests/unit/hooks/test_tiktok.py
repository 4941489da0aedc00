"""What a Connection must say before anything is sent, and what the hook does with it."""

import asyncio
from typing import Any

import pytest
from airflow.sdk import Connection
from airflow.sdk._shared.secrets_masker import _secrets_masker
from airflow.sdk.exceptions import AirflowFailException

from tests.unit.conftest import CONN_ID, Creator
from tiktok_provider.api.accounts import creator_info
from tiktok_provider.api.posting import fetch_status
from tiktok_provider.exceptions import (
    ConnectionSettingsError,
    ConnectionUnreadableError,
    HostNotAllowedError,
    InvalidRequestError,
    TikTokError,
)
from tiktok_provider.hooks.tiktok import TikTokHook
from tiktok_provider.store.errors import AccountDeadError

TOKEN = "/v2/oauth/token/"
CREATOR_INFO = "/v2/post/publish/creator_info/query/"


def test_a_good_connection_is_read_and_used(creator: Creator, hook: TikTokHook) -> None:
    assert hook.account.username == "mia"
    assert hook.account.page_url("/@mia") == f"{creator.sandbox.url}/@mia"
    assert hook.creator_info().creator_nickname == "Mia of Milan"


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        pytest.param({"login": None}, ConnectionSettingsError, "lacks its Client key", id="no client key"),
        pytest.param(
            {"password": ""}, ConnectionSettingsError, "lacks its Client secret", id="no client secret"
        ),
        pytest.param({"conn_type": "http"}, ConnectionSettingsError, "'tiktok'", id="another type"),
        pytest.param(
            {"host": "https://evil.example"}, HostNotAllowedError, "evil.example", id="a host of its own"
        ),
        pytest.param({"host": "evil.example"}, HostNotAllowedError, "https://evil.example", id="a bare host"),
        pytest.param(
            {"extra": {"authorize_url": "https://evil.example/"}},
            HostNotAllowedError,
            "authorize_url",
            id="a consent page of its own",
        ),
        pytest.param(
            {"extra": {"access_token": None, "refresh_token": None}},
            ConnectionSettingsError,
            "token",
            id="no token",
        ),
        pytest.param(
            {"extra": {"access_expires_at": "2020-01-31T12:00:00Z", "refresh_token": None}},
            ConnectionSettingsError,
            "refresh",
            id="an expired token that cannot be refreshed",
        ),
        pytest.param(
            {"extra": {"access_expires_at": "tomorrow"}},
            ConnectionSettingsError,
            "'tomorrow'",
            id="no time at all",
        ),
        pytest.param(
            {"extra": {"scope": "video.upload,video.list"}},
            ConnectionSettingsError,
            "lacks the scope 'video.publish'",
            id="a missing scope",
        ),
    ],
)
def test_a_bad_connection_is_named_before_anything_is_sent(
    creator: Creator, hook: TikTokHook, changes: dict[str, Any], error: type[TikTokError], said: str
) -> None:
    secret, token = creator.connection["password"], creator.connection["extra"]["access_token"]
    creator.connect(**changes)
    with pytest.raises(error, match=said) as refusal:
        hook.creator_info()
    assert creator.calls() == []
    assert secret not in str(refusal.value)
    assert token not in str(refusal.value)


def test_a_host_with_a_port_of_its_own_field_is_put_together(creator: Creator, hook: TikTokHook) -> None:
    host, _, port = creator.sandbox.url.rpartition(":")
    creator.connect(host=host, port=int(port))
    assert hook.creator_info().creator_username == "mia"


def test_blanks_around_a_host_do_no_harm(creator: Creator, hook: TikTokHook) -> None:
    creator.connect(host=f" {creator.sandbox.url} \n")
    assert hook.account.base_url == creator.sandbox.url
    assert hook.creator_info().creator_username == "mia"


def test_a_host_of_blanks_alone_is_tiktoks_own(creator: Creator, hook: TikTokHook) -> None:
    creator.connect(host="  ")
    assert hook.account.base_url == "https://open.tiktokapis.com"


def test_without_a_host_the_api_is_tiktoks_own(creator: Creator, hook: TikTokHook) -> None:
    creator.connect(host=None, extra={"authorize_url": None})
    assert hook.account.base_url == "https://open.tiktokapis.com"
    assert hook.account.page_url("/@mia") == "https://www.tiktok.com/@mia"


def test_an_unknown_connection_says_where_to_make_it(creator: Creator) -> None:
    with pytest.raises(ConnectionUnreadableError, match=r"(?s)'nobody' is not defined.*Admin > Connections"):
        TikTokHook("nobody").creator_info()
    assert creator.calls() == []


def test_a_client_secret_with_a_line_break_is_masked_without_it_too(
    creator: Creator, hook: TikTokHook
) -> None:
    creator.connect(password="fake-secret-of-two-lines\n")
    assert hook.account.client_secret == "fake-secret-of-two-lines"
    assert "two-lines" not in str(_secrets_masker().redact("It is fake-secret-of-two-lines."))


@pytest.mark.parametrize("extra", ["[1]", '"rft.1"', "no JSON"])
def test_an_extra_that_is_no_json_object_is_refused_by_name(
    creator: Creator, hook: TikTokHook, monkeypatch: pytest.MonkeyPatch, extra: str
) -> None:
    found = Connection(conn_id=CONN_ID, conn_type="tiktok", login="fake-key", password="fake", extra=extra)
    monkeypatch.setattr(TikTokHook, "get_connection", lambda *_: found)
    with pytest.raises(ConnectionSettingsError, match=r"the extra is (?s:.)*must be a JSON object"):
        hook.creator_info()
    assert creator.calls() == []


def test_unknown_extra_keys_are_ignored_with_a_warning(
    creator: Creator, hook: TikTokHook, caplog: pytest.LogCaptureFixture
) -> None:
    creator.connect(extra={"acces_token": "a misspelling"})
    assert hook.creator_info()
    assert "unknown extra keys are ignored: acces_token" in caplog.text
    assert "a misspelling" not in caplog.text


def test_secrets_do_not_show_when_an_account_is_printed(creator: Creator, hook: TikTokHook) -> None:
    shown = repr(hook.account)
    assert creator.connection["login"] in shown
    assert creator.connection["password"] not in shown
    assert creator.connection["extra"]["access_token"] not in shown


def test_an_expired_token_is_refreshed_before_anything_else_is_sent(
    creator: Creator, hook: TikTokHook
) -> None:
    creator.connect(extra={"access_expires_at": "2020-01-31T12:00:00"})
    assert hook.creator_info().creator_username == "mia"
    assert creator.calls() == [TOKEN, CREATOR_INFO]


def test_a_token_that_tiktok_no_longer_accepts_is_refreshed_once_and_the_call_repeated(
    creator: Creator, hook: TikTokHook
) -> None:
    creator.sandbox.add_fault("revoke_token", path=CREATOR_INFO)
    assert hook.creator_info().creator_username == "mia"
    assert creator.calls() == [CREATOR_INFO, TOKEN, CREATOR_INFO]


def test_a_token_is_asked_for_once_and_kept(creator: Creator, hook: TikTokHook) -> None:
    creator.sandbox.set_switches(rate_limits=False)
    for _ in range(5):
        hook.creator_info()
    assert creator.calls() == [CREATOR_INFO] * 5


def test_an_account_whose_access_was_taken_away_fails_for_good(creator: Creator, hook: TikTokHook) -> None:
    creator.take_access_away()
    with pytest.raises(AccountDeadError, match="tiktok_default") as failure:
        hook.creator_info()
    assert isinstance(failure.value, AirflowFailException)
    assert creator.connection["extra"]["refresh_token"] not in str(failure.value)


@pytest.mark.parametrize("token", ["act.two parts", "act.größer", "act.\nsecond-line"])
def test_a_token_that_was_pasted_wrongly_is_told_and_not_sent(
    creator: Creator, hook: TikTokHook, token: str
) -> None:
    creator.connect(extra={"access_token": token})
    with pytest.raises(ConnectionSettingsError, match=r"(?s)has signs that no token has.*Paste it again"):
        hook.creator_info()
    assert creator.calls() == []


def test_blanks_around_a_token_do_no_harm(creator: Creator, hook: TikTokHook) -> None:
    creator.connect(extra={"access_token": f" {creator.connection['extra']['access_token']}\n"})
    assert hook.creator_info()


def test_the_asynchronous_driver_refreshes_too(creator: Creator) -> None:
    async def ask() -> str:
        async with TikTokHook(CONN_ID).async_session() as session:
            creator.sandbox.add_fault("revoke_token", path=CREATOR_INFO)
            return (await session.run(creator_info())).creator_username

    assert asyncio.run(ask()) == "mia"


@pytest.mark.usefixtures("creator")
def test_the_asynchronous_driver_reads_the_same_connection() -> None:
    async def ask() -> None:
        async with TikTokHook(CONN_ID).async_session() as session:
            await session.run(fetch_status("v_pub_file~v2-1.404"))

    with pytest.raises(InvalidRequestError, match="invalid_publish_id"):
        asyncio.run(ask())
