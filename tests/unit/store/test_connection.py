"""How a Connection is read: one value, or an error that names the field as the form does."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk import Connection

from tiktok_provider.api.hosts import API_BASE_URL, AUTHORIZE_URL, HostPolicy
from tiktok_provider.exceptions import ConnectionSettingsError, HostNotAllowedError
from tiktok_provider.store.connection import Account, base_url, read_account, read_client_secret, tokens_in
from tiktok_provider.store.token_sets import StoredTokens

NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)
DAY = timedelta(days=1)
HOSTS = HostPolicy.parse("http://127.0.0.1:9080")


def read(*, extra: object = None, **changes: Any) -> Account:
    """Read a Connection that is complete but for the changes."""
    fields = {"conn_type": "tiktok", "login": "fake-key", "password": "fake-secret", **changes}
    text = extra if isinstance(extra, str | None) else json.dumps(extra)
    return read_account(Connection(conn_id="mia", extra=text, **fields), HOSTS, NOW)


def refusal(**changes: Any) -> str:
    with pytest.raises(ConnectionSettingsError) as caught:
        read(**changes)
    return str(caught.value)


def tokens(**changes: object) -> StoredTokens:
    found = tokens_in("mia", {"access_token": "act.old", "refresh_token": "rft.old", **changes}, NOW)
    assert found is not None
    return found


def test_key_and_secret_are_enough() -> None:
    assert read() == Account(conn_id="mia", client_key="fake-key", client_secret="fake-secret")
    assert (read().base_url, read().authorize_url) == (API_BASE_URL, AUTHORIZE_URL)


def test_all_fields_are_read() -> None:
    page = "http://127.0.0.1:9080/v2/auth/authorize/"
    extra = {"refresh_token": "rft.1", "open_id": "o1", "username": "mia", "authorize_url": page}
    account = read(host="http://127.0.0.1", port=9080, extra=extra)
    assert (account.base_url, account.authorize_url, account.username) == (
        "http://127.0.0.1:9080",
        page,
        "mia",
    )
    assert account.initial_tokens is not None
    assert (account.initial_tokens.refresh_token, account.initial_tokens.open_id) == ("rft.1", "o1")


@pytest.mark.parametrize(
    "copied",
    ["fake-secret\n", "\tfake-secret ", " fake-secret\r\n", "\ufefffake-secret", "fake-secret\u200b\u00a0"],
)
def test_what_a_copy_brings_along_at_the_ends_of_key_and_secret_is_dropped(copied: str) -> None:
    account = read(login=copied, password=copied)
    assert (account.client_key, account.client_secret) == ("fake-secret", "fake-secret")
    assert read_client_secret("mia", copied) == "fake-secret"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"login": None}, "Connection 'mia' lacks its Client key."),
        ({"login": " \n"}, "Connection 'mia' lacks its Client key."),
        ({"password": ""}, "Connection 'mia' lacks its Client secret."),
        ({"password": "\n"}, "Connection 'mia' lacks its Client secret."),
        ({"conn_type": "http"}, "Connection 'mia' is of type 'http', it must be 'tiktok'."),
        ({"extra": "refresh_token=x"}, "Connection 'mia': the extra is not JSON"),
        ({"extra": ["rft.1"]}, "Connection 'mia': the extra is a list, it must be a JSON object"),
        ({"extra": 7}, "Connection 'mia': the extra is a number, it must be a JSON object"),
        ({"extra": '"rft.1"'}, "Connection 'mia': the extra is a text, it must be a JSON object"),
        ({"extra": "null"}, "Connection 'mia': the extra is null, it must be a JSON object"),
    ],
    ids=str,
)
def test_a_missing_or_malformed_field_is_named_as_in_the_form(changes: dict[str, Any], said: str) -> None:
    assert refusal(**changes).startswith(said)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (
            "scope",
            7,
            "'scope' in the extra is a number.\nGranted scopes must be a text, or a list of texts.",
        ),
        ("scope", ["video.list", 7], "'scope' in the extra is a list.\nGranted scopes must be"),
        ("scope", {"video.list": True}, "'scope' in the extra is an object.\nGranted scopes must be"),
        ("open_id", 12, "'open_id' in the extra is a number.\nOpen id must be a text."),
        ("username", False, "'username' in the extra is a boolean.\nUsername must be a text."),
        (
            "access_token",
            ["act.secret"],
            "'access_token' in the extra is a list.\nAccess token must be a text.",
        ),
        ("refresh_token", 0, "'refresh_token' in the extra is a number.\nRefresh token must be a text."),
        (
            "access_expires_at",
            1.5,
            "'access_expires_at' in the extra is a number.\nAccess token expires at must be",
        ),
        ("authorize_url", {}, "'authorize_url' in the extra is an object.\nConsent page must be a text."),
    ],
)
def test_a_field_of_another_json_type_is_refused_by_name_and_without_its_value(
    name: str, value: object, said: str
) -> None:
    refused = refusal(extra={name: value})
    assert refused.startswith(f"Connection 'mia': {said}")
    assert "act.secret" not in refused


@pytest.mark.parametrize(
    "scope",
    [
        ["video.publish", " video.list "],
        ["video.publish", "", "video.list"],
        ["video.publish,video.list"],
        "video.publish,video.list",
        " video.publish, video.list\n",
        "video.publish video.list",
    ],
)
def test_scopes_may_be_a_list_and_a_text_with_any_separator(scope: object) -> None:
    account = read(extra={"refresh_token": "rft.1", "scope": scope})
    assert account.initial_tokens is not None
    assert account.initial_tokens.scope == "video.publish,video.list"


@pytest.mark.parametrize("scope", ["['video.publish']", '["video.publish"]', "video;publish"])
def test_a_text_that_holds_no_scopes_is_refused_by_name(scope: str) -> None:
    said = refusal(extra={"refresh_token": "rft.1", "scope": scope})
    assert said.startswith(f"Connection 'mia': 'scope' in the extra is {scope!r}.\nGranted scopes must be")


@pytest.mark.parametrize(
    "username",
    [
        "mia.of_milan",
        "@mia.of_milan",
        " @mia.of_milan\n",
        "@@mia.of_milan",
        "https://www.tiktok.com/@mia.of_milan",
        "https://www.tiktok.com/@mia.of_milan?lang=en#videos",
        "www.tiktok.com/@mia.of_milan/",
        "http://127.0.0.1:9080/@mia.of_milan/video/7301234567890123456",
    ],
)
def test_a_username_is_read_without_what_people_write_around_it(username: str) -> None:
    account = read(extra={"refresh_token": "rft.1", "username": username})
    assert account.username == "mia.of_milan"
    assert account.initial_tokens is not None
    assert account.initial_tokens.username == "mia.of_milan"
    assert account.page_url(f"/@{account.username}") == "https://www.tiktok.com/@mia.of_milan"


@pytest.mark.parametrize(
    "username", ["@", "mia of milan", "https://www.tiktok.com", "a/b", "https://x.com/@"]
)
def test_a_username_that_is_no_handle_is_refused_by_name(username: str) -> None:
    said = refusal(extra={"username": username})
    assert said.startswith(f"Connection 'mia': 'username' in the extra is {username!r}.\nUsername must be")


@pytest.mark.parametrize("field", ["login", "password"])
@pytest.mark.parametrize("value", ["two words", "two\nlines", "a\x00b", "a\u200bb"])
def test_a_key_or_a_secret_with_a_break_inside_is_refused_without_its_value(field: str, value: str) -> None:
    said = refusal(**{field: value})
    assert "a blank or a line break is inside its" in said
    assert value not in said


def test_an_extra_that_is_nested_without_end_is_no_json() -> None:
    assert refusal(extra="[" * 100_000).startswith("Connection 'mia': the extra is not JSON")


@pytest.mark.parametrize("extra", [None, "", "  ", {}, {"access_token": None, "scope": None}], ids=str)
def test_an_extra_that_says_nothing_is_fine(extra: object) -> None:
    assert read(extra=extra).initial_tokens is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"host": "https://evil.example"}, "It is API base URL of connection 'mia'"),
        (
            {"extra": {"authorize_url": "https://evil.example/"}},
            "It is Consent page ('authorize_url' in the extra)",
        ),
    ],
)
def test_a_host_that_is_not_allowed_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(HostNotAllowedError) as caught:
        read(**changes)
    first, *rest = str(caught.value).splitlines()
    assert first == "https://evil.example is neither TikTok's nor allowed."
    assert rest[0].startswith(said)


@pytest.mark.parametrize(
    ("host", "port", "url"),
    [
        (None, None, API_BASE_URL),
        (" ", None, API_BASE_URL),
        ("open.tiktokapis.com", None, API_BASE_URL),
        ("http://127.0.0.1/api/", 9080, "http://127.0.0.1:9080"),
        ("http://127.0.0.1:9080", 1, "http://127.0.0.1:9080"),
        ("http://[::1]", 9080, "http://[::1]:9080"),
    ],
)
def test_the_base_url_is_scheme_host_and_port(host: str | None, port: int | None, url: str) -> None:
    assert base_url(host, port) == url


def test_no_secret_shows() -> None:
    account = read(extra={"access_token": "act.secret", "refresh_token": "rft.secret"})
    assert account.secrets == ("fake-secret", "act.secret", "rft.secret")
    assert [secret for secret in account.secrets if secret in repr(account)] == []


@pytest.mark.parametrize(
    ("extra", "access", "refresh"),
    [
        ({"access_token": "a", "refresh_token": "r"}, NOW, NOW + 365 * DAY),
        ({"refresh_token": "r"}, NOW, NOW + 365 * DAY),
        ({"refresh_token": "r", "access_expires_at": "2031-01-01"}, NOW, NOW + 365 * DAY),
        ({"access_token": "a"}, NOW + DAY, NOW + DAY),
        (
            {"access_token": "a", "access_expires_at": "2030-02-01T14:00:00+02:00"},
            NOW + DAY,
            NOW + DAY,
        ),
        (
            {"access_token": "a", "refresh_token": "r", "refresh_expires_at": "2030-02-01T12:00:00"},
            NOW,
            NOW + DAY,
        ),
    ],
)
def test_what_initial_tokens_do_not_say_is_filled_in(
    extra: dict[str, str], access: datetime, refresh: datetime
) -> None:
    found = tokens_in("mia", extra, NOW)
    assert found is not None
    assert (found.access_expires_at, found.refresh_expires_at) == (access, refresh)


@pytest.mark.parametrize(
    "extra",
    [
        *({}, {"access_token": " ", "refresh_token": ""}, {"access_token": None}),
        *({"access_token": "***", "refresh_token": "***"}, {"refresh_token": " ******** "}),
    ],
    ids=str,
)
def test_blank_tokens_are_no_tokens(extra: dict[str, object]) -> None:
    assert tokens_in("mia", extra, NOW) is None


def test_a_masked_token_counts_as_left_out() -> None:
    assert tokens(access_token="***") == tokens(access_token="")
    assert tokens(refresh_token="***") == tokens(refresh_token="")
    assert tokens(access_token="**a**").access_token == "**a**"


def test_a_malformed_time_names_its_field() -> None:
    with pytest.raises(ConnectionSettingsError, match=r"'access_expires_at' in the extra is 'soon'"):
        tokens(access_expires_at="soon")


def test_odd_names_that_tiktok_gave_never_cost_the_tokens() -> None:
    found = tokens(scope="video-publish;video:list", username="mia of milan", generation=7)
    assert (found.access_token, found.scope) == ("act.old", "video-publish;video:list")
    assert found.username == "mia of milan"
