"""Fact sheet sections 1.2 to 1.6: consent, redirect URIs, PKCE and the code."""

import base64
import hashlib
import re

import httpx
import pytest

from tests.sandbox.browser import (
    CHALLENGE,
    LOCAL,
    PKCE,
    SCOPES,
    VERIFIER,
    WEB,
    allow,
    ask,
    assert_oauth_error,
    assert_page_names,
    deny,
    exchange,
    get_code,
)
from tests.sandbox.conftest import BARE, Creator, Json, MakeCreator, control


@pytest.fixture
def web(make_creator: MakeCreator) -> Creator:
    return make_creator(app={"redirect_uris": [WEB, "https://app.creator.test/second"]})


@pytest.fixture
def desktop(make_creator: MakeCreator) -> Creator:
    return make_creator(app={"platform": "desktop", "redirect_uris": [LOCAL, "http://localhost:*/any/"]})


# The request


@pytest.mark.parametrize(
    ("params", "named"),
    [
        pytest.param({"client_key": "nobody"}, "client_key", id="unknown_client"),
        pytest.param({"client_key": None}, "client_key", id="no_client"),
        pytest.param({"redirect_uri": "https://evil.test/callback/"}, "redirect_uri", id="foreign_redirect"),
        pytest.param({"redirect_uri": WEB.rstrip("/")}, "redirect_uri", id="redirect_without_slash"),
        pytest.param({"redirect_uri": WEB + "?a=1"}, "redirect_uri", id="redirect_with_query"),
        pytest.param({"redirect_uri": WEB + "x"}, "redirect_uri", id="redirect_with_more"),
        pytest.param({"redirect_uri": WEB.upper()}, "redirect_uri", id="redirect_in_capitals"),
        pytest.param({"redirect_uri": None}, "redirect_uri", id="no_redirect"),
        pytest.param({"scope": "user.info.basic,video.fly"}, "scope", id="unknown_scope"),
        pytest.param({"scope": "user.info.basic video.upload"}, "scope", id="scopes_with_blanks"),
        pytest.param({"scope": None}, "scope", id="no_scope"),
        pytest.param({"scope": ""}, "scope", id="empty_scope"),
        pytest.param({**PKCE, "code_challenge_method": "plain"}, "code_challenge", id="plain_challenge"),
    ],
)
def test_a_bad_request_shows_a_page_that_names_the_parameter(
    web: Creator, params: dict[str, str | None], named: str
) -> None:
    assert_page_names(ask(web, **params), named)


def test_a_scope_that_the_app_was_not_approved_for_is_refused(make_creator: MakeCreator) -> None:
    creator = make_creator(app={"redirect_uris": [WEB], "scopes": ["user.info.basic", "video.upload"]})
    assert_page_names(ask(creator), "scope")
    assert get_code(creator, scope="user.info.basic,video.upload")


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (None, "invalid_request"),
        ("", "invalid_request"),
        ("token", "unsupported_response_type"),
        ("id_token", "unsupported_response_type"),
        ("CODE", "unsupported_response_type"),
    ],
)
def test_a_response_type_other_than_code_leads_back_with_its_error(
    web: Creator, value: str | None, error: str
) -> None:
    response = ask(web, response_type=value)
    assert response.status_code == 303
    location = httpx.URL(response.headers["location"])
    assert str(location).startswith(WEB + "?")
    assert set(location.params) == {"error", "error_description", "state"}
    assert (location.params["error"], location.params["state"]) == (error, "a state & more")


def test_a_wrong_response_type_leads_to_no_foreign_address(web: Creator) -> None:
    response = ask(web, response_type="token", redirect_uri="https://evil.test/callback/")
    assert_page_names(response, "redirect_uri")


# Redirect URIs at registration: a bad one cannot be registered, or leads nowhere

BAD_URIS = [
    pytest.param("web", "http://app.creator.test/callback/", id="web_http"),
    pytest.param("web", "https://localhost/callback/", id="web_localhost"),
    pytest.param("web", "http://localhost:80/callback/", id="web_http_localhost"),
    pytest.param("web", "https://127.0.0.1/callback/", id="web_loopback"),
    pytest.param("web", "https://10.0.0.1/callback/", id="web_private_address"),
    pytest.param("web", "https://[::1]/callback/", id="web_loopback_of_ipv6"),
    pytest.param("web", "https://intranet/callback/", id="web_host_without_a_dot"),
    pytest.param("web", "https://app.creator.test:*/callback/", id="web_wildcard_port"),
    pytest.param("web", "https://app.creator.test/callback/?a=1", id="web_query"),
    pytest.param("web", "https://app.creator.test/callback/#a", id="web_fragment"),
    pytest.param("web", "https://app.creator.test/" + "x" * 487, id="web_512_characters"),
    pytest.param("desktop", "https://app.creator.test/callback/", id="desktop_public_host"),
    pytest.param("desktop", "http://localhost/callback/", id="desktop_no_port"),
    pytest.param("desktop", "http://127.0.0.2:80/callback/", id="desktop_other_loopback"),
    pytest.param("desktop", "http://localhost:80/callback/?a=1", id="desktop_query"),
    pytest.param("desktop", "http://localhost:80/callback/#a", id="desktop_fragment"),
]


@pytest.mark.parametrize(("platform", "uri"), BAD_URIS)
def test_a_bad_redirect_uri_cannot_be_used(make_creator: MakeCreator, platform: str, uri: str) -> None:
    creator = make_creator()
    app: Json = {"platform": platform, "redirect_uris": [uri]}
    made = BARE.post(creator.sandbox.url + "/sandbox/apps", json=app)
    if made.is_success:
        client_key = made.json()["client_key"]
        assert_page_names(ask(creator, client_key=client_key, redirect_uri=uri, **PKCE), "redirect_uri")
    else:
        assert made.status_code in range(400, 500)


@pytest.mark.parametrize(("count", "accepted"), [(10, True), (11, False)])
def test_an_app_has_at_most_ten_redirect_uris(make_creator: MakeCreator, count: int, accepted: bool) -> None:
    url = make_creator().sandbox.url + "/sandbox/apps"
    uris = [f"https://app.creator.test/{number}" for number in range(count)]
    assert BARE.post(url, json={"redirect_uris": uris}).is_success == accepted


@pytest.mark.parametrize(
    ("uri", "accepted"),
    [
        ("http://localhost:1024/any/", True),
        ("http://localhost:65000/any/", True),
        ("http://localhost:1024/any", False),
        ("http://localhost:1024/other/", False),
        ("http://localhost/any/", False),
        ("http://127.0.0.1:1024/any/", False),
        ("https://localhost:1024/any/", False),
        (LOCAL, True),
        (LOCAL.replace("8765", "8766"), False),
    ],
)
def test_a_wildcard_port_stands_for_every_port_and_nothing_else(
    desktop: Creator, uri: str, accepted: bool
) -> None:
    if accepted:
        assert str(allow(desktop, redirect_uri=uri, **PKCE)).startswith(uri + "?")
    else:
        assert_page_names(ask(desktop, redirect_uri=uri, **PKCE), "redirect_uri")


@pytest.mark.parametrize(("value", "skipped"), [("0", True), ("1", False)])
def test_the_page_is_skipped_for_a_creator_who_consented_unless_it_is_asked_for(
    web: Creator, value: str, skipped: bool
) -> None:
    allow(web)
    response = ask(web, disable_auto_auth=value)
    assert response.is_redirect == skipped
    assert ("<form" in response.text) != skipped
    if skipped:
        code = httpx.URL(response.headers["location"]).params["code"]
        assert exchange(web, code).json()["open_id"] == web.open_id


def test_the_page_is_not_skipped_for_a_scope_that_was_never_granted(web: Creator) -> None:
    removed = {"client_key": web.client_key}
    control(web.sandbox, "POST", f"/sandbox/accounts/{web.open_id}/revoke", removed)
    allow(web, scopes="user.info.basic", scope="user.info.basic")
    assert "<form" in ask(web, disable_auto_auth="0").text


# The callback


def test_consent_leads_back_with_code_scopes_and_state(web: Creator) -> None:
    location = allow(web)
    assert str(location).startswith(WEB + "?")
    assert set(location.params) == {"code", "scopes", "state"}
    assert location.params["state"] == "a state & more"
    assert set(location.params["scopes"].split(",")) == set(SCOPES.split(","))


def test_a_refusal_leads_back_with_an_error_and_the_state(web: Creator) -> None:
    location = deny(web)
    assert location.params["error"] == "access_denied"
    assert location.params["error_description"]
    assert location.params["state"] == "a state & more"
    assert "code" not in location.params


def test_a_refusal_needs_no_account(web: Creator) -> None:
    response = BARE.post(str(ask(web).url), data={"decision": "deny"})
    assert httpx.URL(response.headers["location"]).params["error"] == "access_denied"


def test_a_creator_may_grant_a_part(web: Creator) -> None:
    part = "user.info.basic,video.upload"
    location = allow(web, scopes=part)
    body = exchange(web, location.params["code"]).json()
    assert set(location.params["scopes"].split(",")) == set(body["scope"].split(",")) == set(part.split(","))


@pytest.mark.parametrize("granted", [True, False])
def test_basic_user_info_comes_unasked_as_the_switch_says(web: Creator, granted: bool) -> None:
    web.sandbox.set_switches(default_scope_granted=granted)
    body = exchange(web, get_code(web, scope="video.upload", scopes="video.upload")).json()
    expected = {"video.upload", *(["user.info.basic"] if granted else [])}
    assert set(body["scope"].split(",")) == expected


# The code


def test_a_code_gives_a_token_set_of_that_creator(web: Creator) -> None:
    body = exchange(web, get_code(web)).json()
    assert body["open_id"] == web.open_id
    assert set(body["scope"].split(",")) == set(SCOPES.split(","))
    assert body["access_token"] != web.access_token


def test_a_code_arrives_percent_encoded_and_must_be_decoded_once(web: Creator) -> None:
    location = allow(web)
    raw = re.search(r"[?&]code=([^&]+)", str(location))
    assert raw
    assert re.search("%2A|%21", raw.group(1))
    assert_oauth_error(exchange(web, raw.group(1)), "invalid_grant")
    assert exchange(web, location.params["code"]).status_code == 200


def test_a_code_works_once(web: Creator) -> None:
    code = get_code(web)
    assert exchange(web, code).status_code == 200
    assert_oauth_error(exchange(web, code), "invalid_grant")


def test_a_code_expires(web: Creator) -> None:
    code = get_code(web)
    web.sandbox.advance(86_400)
    assert_oauth_error(exchange(web, code), "invalid_grant")


def test_a_code_of_another_app_is_refused(make_creator: MakeCreator, web: Creator) -> None:
    other = make_creator(account_of=web, app={"redirect_uris": [WEB]})
    assert_oauth_error(exchange(web, get_code(other)), "invalid_grant")


def test_an_unknown_code_is_refused(web: Creator) -> None:
    assert_oauth_error(exchange(web, "nobody-knows-this-one"), "invalid_grant")


@pytest.mark.parametrize("name", ["code", "redirect_uri"])
def test_an_exchange_without_a_field_is_refused(web: Creator, name: str) -> None:
    code = get_code(web)
    assert_oauth_error(exchange(web, code, **{name: None}), "invalid_request")


@pytest.mark.parametrize("switch", ["invalid_grant", "invalid_request"])
@pytest.mark.parametrize("uri", ["https://app.creator.test/second", WEB.rstrip("/")])
def test_another_redirect_uri_is_refused_as_the_switch_says(web: Creator, uri: str, switch: str) -> None:
    web.sandbox.set_switches(redirect_mismatch_error=switch)
    assert_oauth_error(exchange(web, get_code(web), redirect_uri=uri), switch)


# PKCE


def test_the_challenge_of_the_fact_sheet_is_hex() -> None:
    assert hashlib.sha256(VERIFIER.encode()).hexdigest() == CHALLENGE


def desktop_exchange(desktop: Creator, verifier: str | None, challenge: str) -> httpx.Response:
    code = get_code(desktop, redirect_uri=LOCAL, code_challenge=challenge, code_challenge_method="S256")
    return exchange(desktop, code, redirect_uri=LOCAL, code_verifier=verifier)


def test_a_verifier_matches_the_lower_case_hex_of_its_sha256(desktop: Creator) -> None:
    assert desktop_exchange(desktop, VERIFIER, CHALLENGE).status_code == 200


def test_a_web_app_may_send_pkce_too(web: Creator) -> None:
    assert exchange(web, get_code(web, **PKCE), code_verifier=VERIFIER).status_code == 200
    wrong = exchange(web, get_code(web, **PKCE), code_verifier=VERIFIER[::-1])
    assert_oauth_error(wrong, {"invalid_grant", "invalid_request"})


@pytest.mark.parametrize("verifier", [None, "", VERIFIER[::-1], VERIFIER + "x", CHALLENGE])
def test_a_wrong_verifier_is_refused(desktop: Creator, verifier: str | None) -> None:
    response = desktop_exchange(desktop, verifier, CHALLENGE)
    assert_oauth_error(response, {"invalid_grant", "invalid_request"})


@pytest.mark.parametrize(
    ("verifier", "accepted"),
    [
        pytest.param("a" * 42, False, id="42_characters"),
        pytest.param("a" * 43, True, id="43_characters"),
        pytest.param("a-._~" * 25 + "a-9", True, id="128_characters"),
        pytest.param("a" * 129, False, id="129_characters"),
        pytest.param("a" * 50 + "+/=", False, id="base64_characters"),
        pytest.param("a" * 50 + "é", False, id="accent"),
    ],
)
def test_a_verifier_has_43_to_128_unreserved_characters(
    desktop: Creator, verifier: str, accepted: bool
) -> None:
    challenge = hashlib.sha256(verifier.encode()).hexdigest()
    response = desktop_exchange(desktop, verifier, challenge)
    if accepted:
        assert response.status_code == 200
    else:
        assert_oauth_error(response, {"invalid_grant", "invalid_request"})


@pytest.mark.parametrize("params", [{}, {"code_challenge": CHALLENGE}], ids=["no_challenge", "no_method"])
def test_a_desktop_app_must_send_a_challenge(desktop: Creator, params: dict[str, str]) -> None:
    assert_page_names(ask(desktop, redirect_uri=LOCAL, **params), "code_challenge")


@pytest.mark.parametrize("switch", ["optional", "required"])
def test_a_web_app_sends_a_challenge_if_the_switch_says_so(web: Creator, switch: str) -> None:
    web.sandbox.set_switches(pkce_on_web=switch)
    assert exchange(web, get_code(web, **PKCE), code_verifier=VERIFIER).status_code == 200
    if switch == "required":
        assert_page_names(ask(web), "code_challenge")
    else:
        assert exchange(web, get_code(web)).status_code == 200


BASE64URL = base64.urlsafe_b64encode(bytes.fromhex(CHALLENGE)).decode().rstrip("=")


@pytest.mark.parametrize("challenge", [BASE64URL, VERIFIER], ids=["base64url", "the_verifier_itself"])
@pytest.mark.parametrize("platform", ["web", "desktop"])
def test_a_challenge_that_is_not_hex_leads_to_no_token(
    web: Creator, desktop: Creator, platform: str, challenge: str
) -> None:
    creator, uri = (web, WEB) if platform == "web" else (desktop, LOCAL)
    params = {"redirect_uri": uri, "code_challenge": challenge, "code_challenge_method": "S256"}
    page = ask(creator, **params)
    if "<form" in page.text:
        response = exchange(creator, get_code(creator, **params), redirect_uri=uri, code_verifier=VERIFIER)
        assert_oauth_error(response, {"invalid_grant", "invalid_request"})
    else:
        assert_page_names(page, "code_challenge")
