"""No web page but the sandbox's own can use it, whatever the browser lets it send."""

from collections.abc import Mapping
from urllib.parse import urlsplit

import httpx
import pytest

from tests.sandbox.conftest import Creator
from tiktok_sandbox.client import Sandbox
from tiktok_sandbox.server import running_sandbox

FOREIGN = [
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": "http://localhost:3000"},
    {"origin": "http://127.0.0.1"},
    {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"},
    {"sec-fetch-site": "same-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"},
    {"host": "evil.example"},
    {"host": "evil.example:9080"},
    {"host": "localhost.evil.example"},
    {"host": ""},
]
ASKED = [
    ("POST", "/sandbox/reset"),
    ("PATCH", "/sandbox/switches"),
    ("DELETE", "/sandbox/faults"),
    ("GET", "/sandbox/apps"),
    ("GET", "/sandbox/feed"),
    ("POST", "/v2/oauth/token/"),
    ("POST", "/v2/post/publish/video/init/"),
    ("POST", "/v2/auth/authorize/"),
    ("GET", "/"),
    ("PUT", "/upload"),
]


def ask(sandbox: Sandbox, method: str, path: str, headers: Mapping[str, str]) -> httpx.Response:
    return httpx.request(method, f"{sandbox.url}{path}", headers=dict(headers), trust_env=False)


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_a_foreign_page_changes_and_sees_nothing(tiktok_sandbox: Sandbox, headers: dict[str, str]) -> None:
    tiktok_sandbox.create_app()
    tiktok_sandbox.add_fault("error", code="internal_error")
    for method, path in ASKED:
        answer = ask(tiktok_sandbox, method, path, headers)
        assert (answer.status_code, list(answer.json())) == (403, ["error"]), f"{method} {path}"
    assert len(tiktok_sandbox.faults()) == 1
    assert tiktok_sandbox.requests() == []


def test_a_link_can_be_followed_from_any_site_but_a_form_cannot_be_sent(tiktok_sandbox: Sandbox) -> None:
    link = {"sec-fetch-site": "same-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert ask(tiktok_sandbox, "GET", "/", link).status_code == 200
    assert ask(tiktok_sandbox, "POST", "/sandbox/reset", link).status_code == 403


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]", "192.168.1.7"])
def test_its_own_pages_and_programs_pass(tiktok_sandbox: Sandbox, host: str) -> None:
    port = urlsplit(tiktok_sandbox.url).port
    for name in (host, f"{host}:{port}"):
        assert ask(tiktok_sandbox, "GET", "/", {"host": name}).status_code == 200
        own = {"host": name, "origin": f"http://{name}", "sec-fetch-site": "same-origin"}
        assert ask(tiktok_sandbox, "POST", "/sandbox/reset", own).status_code == 200


def test_a_name_that_it_was_started_with_passes() -> None:
    with running_sandbox(names=["Sandbox"]) as served, Sandbox(served.url) as sandbox:
        for host in ("sandbox", "sandbox:9080"):
            assert ask(sandbox, "GET", "/", {"host": host}).status_code == 200


def test_a_creator_can_still_consent_in_a_browser(creator: Creator) -> None:
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    page = ask(creator.sandbox, "GET", "/v2/auth/authorize/", link)
    assert page.status_code != 403
