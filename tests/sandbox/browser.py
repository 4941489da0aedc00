"""What a browser and an app do to connect a creator: the consent page and the token endpoint."""

import re
from html.parser import HTMLParser

import httpx

from tests.sandbox.conftest import BARE, TOKEN, Creator

AUTHORIZE = "/v2/auth/authorize/"
WEB = "https://app.creator.test/callback/"
LOCAL = "http://127.0.0.1:8765/callback/"
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "13d31e961a1ad8ec2f16b10c4c982e0876a878ad6df144566ee1894acb70f9c3"
PKCE = {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}
SCOPES = "user.info.basic,video.upload,video.publish"


class Form(HTMLParser):
    """The form of the consent page: what a browser would send if the creator presses a button."""

    def __init__(self, page: httpx.Response) -> None:
        super().__init__()
        self.attributes: dict[str, str] = {}
        self.inputs: list[dict[str, str]] = []
        self.options: list[tuple[str, str]] = []
        self._select = ""
        self._page = page
        self.feed(page.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.attributes = values
        elif tag in {"input", "button"}:
            self.inputs.append({"type": "submit" if tag == "button" else "text", **values})
        elif tag == "select":
            self._select = values["name"]
        elif tag == "option":
            self.options.append((self._select, values["value"]))

    def submit(self, creator: Creator, scopes: str, button: str) -> httpx.Response:
        """Tick these scopes, choose this creator and press the button whose name or value matches."""
        data: dict[str, list[str]] = {}
        radios = {given["name"] for given in self.inputs if given["type"] == "radio"}
        for name, value in [*self._ticked(creator, scopes), *self._pressed(button)]:
            data.setdefault(name, []).append(value)
            if name in radios:
                data[name] = [value]
        for name, value in self.options:
            if value in {creator.open_id, creator.username}:
                data[name] = [value]
        target = self._page.url.join(self.attributes.get("action", ""))
        if self.attributes.get("method", "get").lower() == "post":
            return BARE.post(target, data=data)
        return BARE.get(target, params=data)

    def _ticked(self, creator: Creator, scopes: str) -> list[tuple[str, str]]:
        chosen = {*scopes.split(","), creator.open_id, creator.username}
        # The last radio button that is pressed wins: the creator's own, or else the one that was preset.
        order = sorted(self.inputs, key=lambda given: given.get("value") in chosen)
        return [
            (given["name"], given.get("value", ""))
            for given in order
            if given["type"] == "hidden"
            or (given["type"] == "checkbox" and given.get("value") in chosen)
            or (given["type"] == "radio" and (given.get("value") in chosen or "checked" in given))
        ]

    def _pressed(self, button: str) -> list[tuple[str, str]]:
        pressed = [
            (given["name"], given.get("value", ""))
            for given in self.inputs
            if given["type"] == "submit" and re.search(button, given.get("value", ""), re.IGNORECASE)
        ]
        assert len(pressed) == 1, self.inputs
        return pressed


def ask(creator: Creator, **params: str | None) -> httpx.Response:
    """Open the consent page as the app asks for it; `None` leaves a parameter out."""
    usual: dict[str, str | None] = {
        "client_key": creator.client_key,
        "scope": SCOPES,
        "redirect_uri": WEB,
        "state": "a state & more",
        "response_type": "code",
        "disable_auto_auth": "1",
    }
    sent = {name: value for name, value in {**usual, **params}.items() if value is not None}
    return BARE.get(creator.sandbox.url + AUTHORIZE, params=sent)


def press(creator: Creator, button: str, scopes: str, params: dict[str, str | None]) -> httpx.URL:
    """Open the page and press a button; returns the address to which the browser is sent back."""
    page = ask(creator, **params)
    assert page.status_code == 200, page.text
    response = Form(page).submit(creator, scopes, button)
    assert response.is_redirect, response.text
    return httpx.URL(response.headers["location"])


def allow(creator: Creator, scopes: str = SCOPES, **params: str | None) -> httpx.URL:
    return press(creator, "allow|approve", scopes, params)


def deny(creator: Creator) -> httpx.URL:
    return press(creator, "deny|cancel|decline|refuse", SCOPES, {})


def get_code(creator: Creator, scopes: str = SCOPES, **params: str | None) -> str:
    return allow(creator, scopes, **params).params["code"]


def exchange(creator: Creator, code: str, /, **fields: str | None) -> httpx.Response:
    usual: dict[str, str | None] = {"grant_type": "authorization_code", "code": code, "redirect_uri": WEB}
    return post_token(creator, **{**usual, **fields})


def assert_oauth_error(response: httpx.Response, error: str | set[str], status: int | None = None) -> None:
    """The flat OAuth body, with 401 for `invalid_client` and 400 for the others."""
    body = response.json()
    assert set(body) == {"error", "error_description", "log_id"}
    assert body["error"] in ({error} if isinstance(error, str) else error), body
    assert body["error_description"]
    assert body["log_id"]
    assert response.status_code == (status or (401 if body["error"] == "invalid_client" else 400))


def post_token(creator: Creator, **fields: str | None) -> httpx.Response:
    """A call of the token endpoint with the app's credentials; `None` leaves a field out."""
    usual = {"client_key": creator.client_key, "client_secret": creator.client_secret}
    form = {name: value for name, value in {**usual, **fields}.items() if value is not None}
    return BARE.post(creator.sandbox.url + TOKEN, data=form)


def assert_page_names(response: httpx.Response, parameter: str) -> None:
    """TikTok's own error page, which names the bad parameter and sends nobody anywhere."""
    assert not response.is_redirect
    assert response.headers["content-type"].startswith("text/html")
    assert "Something went wrong" in response.text
    named = [
        name
        for name in ("client_key", "redirect_uri", "scope", "code_challenge")
        if re.search(rf"\b{name}(_method)?\b", response.text)
    ]
    assert named == [parameter]
