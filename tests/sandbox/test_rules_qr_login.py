"""Fact sheet section 1.8: the QR login."""

from urllib.parse import parse_qs, quote, urlsplit

import httpx
import pytest

from tests.sandbox.browser import SCOPES, WEB, Form, assert_oauth_error, exchange
from tests.sandbox.conftest import BARE, Creator, MakeCreator


@pytest.fixture
def web(make_creator: MakeCreator) -> Creator:
    return make_creator(app={"redirect_uris": [WEB]})


def get_qrcode(creator: Creator, **fields: str) -> httpx.Response:
    form = {"client_key": creator.client_key, "scope": SCOPES, "state": "s", **fields}
    return BARE.post(creator.sandbox.url + "/v2/oauth/get_qrcode/", data=form)


def check_qrcode(creator: Creator, token: str, **fields: str) -> httpx.Response:
    form = {
        "client_key": creator.client_key,
        "client_secret": creator.client_secret,
        "token": token,
        **fields,
    }
    return BARE.post(creator.sandbox.url + "/v2/oauth/check_qrcode/", data=form)


def test_a_qr_code_begins_as_new_and_has_a_ticket_to_fill_in(web: Creator) -> None:
    body = get_qrcode(web).json()
    assert parse_qs(urlsplit(body["scan_qrcode_url"]).query)["client_ticket"] == ["tobefilled"]
    assert check_qrcode(web, body["token"]).json()["status"] == "new"


def test_bad_qr_calls_have_flat_errors(web: Creator) -> None:
    token = get_qrcode(web).json()["token"]
    assert_oauth_error(get_qrcode(web, client_key="nobody"), "invalid_client")
    assert_oauth_error(get_qrcode(web, scope="video.fly"), "invalid_scope")
    assert_oauth_error(check_qrcode(web, token, client_secret="wrong"), "invalid_client")
    assert_oauth_error(check_qrcode(web, "nobody"), {"invalid_grant", "invalid_request"})


def test_an_app_without_a_redirect_uri_may_not_use_the_flow(creator: Creator) -> None:
    assert_oauth_error(get_qrcode(creator), "unauthorized_client", 400)


def scan(creator: Creator, ticket: str = "my-ticket") -> tuple[str, httpx.Response]:
    """Open the code's URL on the creator's phone; returns the app's token and the page."""
    body = get_qrcode(creator).json()
    url = body["scan_qrcode_url"].replace("client_ticket=tobefilled", f"client_ticket={quote(ticket)}")
    return body["token"], BARE.get(httpx.URL(creator.sandbox.url).join(url))


def test_a_scanned_code_is_confirmed_by_the_creator_and_used_once(web: Creator) -> None:
    token, page = scan(web)
    assert check_qrcode(web, token).json()["status"] == "scanned"
    Form(page).submit(web, SCOPES, "allow|approve|confirm")
    confirmed = check_qrcode(web, token).json()
    assert (confirmed["status"], confirmed["client_ticket"]) == ("confirmed", "my-ticket")
    back = httpx.URL(confirmed["redirect_uri"])
    assert exchange(web, back.params["code"]).json()["open_id"] == web.open_id
    assert check_qrcode(web, token).json()["status"] == "utilised"


def test_a_code_that_the_creator_declines_expires_and_cannot_be_approved_any_more(web: Creator) -> None:
    token, page = scan(web)
    Form(page).submit(web, SCOPES, "cancel|deny")
    declined = {"status": "expired", "client_ticket": "my-ticket"}
    assert check_qrcode(web, token).json() == declined
    assert Form(page).submit(web, SCOPES, "allow|approve").status_code == 400
    assert check_qrcode(web, token).json() == declined


@pytest.mark.parametrize("ticket", ["t", "t" * 511, "aZ09-._~"], ids=["short", "511", "every_kind"])
def test_a_ticket_below_512_url_safe_characters_is_echoed(web: Creator, ticket: str) -> None:
    token, page = scan(web, ticket)
    assert "<form" in page.text
    assert check_qrcode(web, token).json() == {"status": "scanned", "client_ticket": ticket}


@pytest.mark.parametrize(
    "ticket", ["", "t" * 512, "a b", "a/b", "a+b", "a=", "é"], ids=lambda ticket: ticket[:3] or "empty"
)
def test_another_ticket_shows_the_error_page_and_leaves_the_code_unscanned(web: Creator, ticket: str) -> None:
    token, page = scan(web, ticket)
    assert (page.status_code, "<form" in page.text) == (400, False)
    assert "<li>client_ticket</li>" in page.text
    assert check_qrcode(web, token).json()["status"] == "new"


def test_a_code_that_nobody_scans_expires(web: Creator) -> None:
    token = get_qrcode(web).json()["token"]
    web.sandbox.advance(86_400)
    assert check_qrcode(web, token).json()["status"] == "expired"
