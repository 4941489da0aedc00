"""The whole way once: consent page, token, init, chunks, status, feed; and the program itself."""

import hashlib
import html
import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tiktok_sandbox import lifecycle
from tiktok_sandbox.client import App, Sandbox
from tiktok_sandbox.clips import make_clip

REDIRECT = "http://127.0.0.1:8123/callback/"
VERIFIER = "a-verifier-that-is-long-enough-to-be-taken-0123456789"
CHALLENGE = hashlib.sha256(VERIFIER.encode()).hexdigest()
CHUNK = 5_242_880
INIT = "/v2/post/publish/video/init/"
# One for all: to make one takes longer than most calls.
BROWSER = httpx.Client(trust_env=False, timeout=60)


@pytest.fixture(scope="module", autouse=True)
def closed_browser() -> Iterator[None]:
    """Close it after the last test."""
    yield
    BROWSER.close()


def consent_url(sandbox: Sandbox, app: App) -> httpx.URL:
    query = {
        "client_key": app.client_key,
        "scope": "video.publish,video.list",
        "redirect_uri": REDIRECT,
        "state": "a-state",
        "response_type": "code",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }
    return httpx.URL(f"{sandbox.url}/v2/auth/authorize/", params=query)


def filled_in_form(page: str, **changes: str) -> dict[str, Any]:
    """What a browser would send: whatever is checked."""
    boxes = re.findall(r'name="(\w+)" value="([^"]+)" checked', page)
    form: dict[str, Any] = {}
    for name, value in boxes:
        form.setdefault(name, []).append(html.unescape(value))
    return {**form, **changes}


def callback_query(answer: httpx.Response) -> dict[str, str]:
    assert answer.status_code == 303
    return {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}


def exchange(sandbox: Sandbox, app: App, code: str) -> httpx.Response:
    form = {
        "client_key": app.client_key,
        "client_secret": app.client_secret,
        "code": code,
        "grant_type": "authorization_code",
        "redirect_uri": REDIRECT,
        "code_verifier": VERIFIER,
    }
    return BROWSER.post(f"{sandbox.url}/v2/oauth/token/", data=form)


@pytest.fixture
def desktop_app(tiktok_sandbox: Sandbox) -> App:
    return tiktok_sandbox.create_app(platform="desktop", redirect_uris=["http://127.0.0.1:*/callback/"])


@pytest.fixture
def api(tiktok_sandbox: Sandbox, desktop_app: App) -> Iterator[httpx.Client]:
    """A client with the token of a creator who has just approved the app on the consent page."""
    tiktok_sandbox.create_account(username="mia", nickname="Mia")
    url = consent_url(tiktok_sandbox, desktop_app)
    page = BROWSER.get(url).text
    callback = callback_query(BROWSER.post(url, data=filled_in_form(page, decision="approve")))
    assert callback["state"] == "a-state"
    assert callback["scopes"] == "user.info.basic,video.publish,video.list"
    tokens = exchange(tiktok_sandbox, desktop_app, callback["code"]).json()
    with client_of(tiktok_sandbox, tokens["access_token"]) as client:
        yield client


def client_of(sandbox: Sandbox, token: str) -> httpx.Client:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.Client(base_url=sandbox.url, headers=headers, trust_env=False, timeout=60)


def put_chunks(upload_url: str, data: bytes) -> list[int]:
    count = len(data) // CHUNK or 1
    answers = []
    for index in range(count):
        first = index * CHUNK
        last = len(data) if index == count - 1 else first + CHUNK
        headers = {"Content-Type": "video/mp4", "Content-Range": f"bytes {first}-{last - 1}/{len(data)}"}
        answers.append(BROWSER.put(upload_url, content=data[first:last], headers=headers).status_code)
    return answers


def test_a_video_goes_from_the_consent_page_to_the_feed(
    tiktok_sandbox: Sandbox, api: httpx.Client, tmp_path: Path
) -> None:
    data = make_clip(tmp_path / "clip.mp4").read_bytes()
    # A trailing box that players skip, to fill three chunks.
    padding = 3 * CHUNK + 1000 - len(data)
    data += padding.to_bytes(4, "big") + b"free" + bytes(padding - 8)
    source = {"source": "FILE_UPLOAD", "video_size": len(data), "chunk_size": CHUNK, "total_chunk_count": 3}
    info = {"title": "Hello", "privacy_level": "PUBLIC_TO_EVERYONE"}
    tiktok_sandbox.freeze()
    init = api.post(INIT, json={"post_info": info, "source_info": source}).json()

    assert put_chunks(init["data"]["upload_url"], data) == [206, 206, 201]

    def status() -> dict[str, Any]:
        body = {"publish_id": init["data"]["publish_id"]}
        answer: dict[str, Any] = api.post("/v2/post/publish/status/fetch/", json=body).json()["data"]
        return answer

    assert status() == {"status": "PROCESSING_UPLOAD", "uploaded_bytes": len(data)}
    assert tiktok_sandbox.feed() == []
    tiktok_sandbox.advance(2)
    assert status() == {"status": "PUBLISH_COMPLETE", "uploaded_bytes": len(data)}
    tiktok_sandbox.advance(1)
    [post] = tiktok_sandbox.feed()
    assert status()["publicaly_available_post_id"] == [int(post["post_id"])]
    assert post["sha256"] == hashlib.sha256(data).hexdigest()
    assert (post["username"], post["title"], post["size"]) == ("mia", "Hello", len(data))


def test_a_refusal_on_the_consent_page_comes_back_as_access_denied(
    tiktok_sandbox: Sandbox, desktop_app: App
) -> None:
    tiktok_sandbox.create_account()
    url = consent_url(tiktok_sandbox, desktop_app)
    form = filled_in_form(BROWSER.get(url).text, decision="deny")
    callback = callback_query(BROWSER.post(url, data=form))
    assert (callback["error"], callback["state"]) == ("access_denied", "a-state")


@pytest.mark.parametrize("parameter", ["client_key", "redirect_uri", "scope", "code_challenge"])
def test_the_consent_page_names_a_wrong_parameter(
    tiktok_sandbox: Sandbox, desktop_app: App, parameter: str
) -> None:
    url = consent_url(tiktok_sandbox, desktop_app).copy_set_param(parameter, "wrong")
    page = BROWSER.get(url)
    assert page.status_code == 400
    assert re.findall(r"<li>(\w+)</li>", page.text) == [parameter]


def test_a_lost_answer_closes_the_connection_although_the_call_was_processed(
    tiktok_sandbox: Sandbox, api: httpx.Client
) -> None:
    tiktok_sandbox.add_fault("lost_answer", path=INIT)
    with pytest.raises(httpx.TransportError):
        begin_small_upload(api)
    [call] = tiktok_sandbox.requests(INIT)
    assert (call["status"], call["code"], call["fault"]) == (None, "ok", "lost_answer")
    assert call["publish_id"]


@pytest.mark.parametrize(("after_bytes", "stored"), [(0, 0), (99, 0), (100, 100)])
def test_a_chunk_whose_connection_is_cut_counts_whole_or_not_at_all(
    tiktok_sandbox: Sandbox, api: httpx.Client, after_bytes: int, stored: int
) -> None:
    init = begin_small_upload(api)
    tiktok_sandbox.add_fault("cut", path="/upload", after_bytes=after_bytes)
    with pytest.raises(httpx.TransportError):
        put_chunks(init["upload_url"], bytes(100))
    status = api.post("/v2/post/publish/status/fetch/", json={"publish_id": init["publish_id"]}).json()
    assert status["data"]["uploaded_bytes"] == stored


def begin_small_upload(api: httpx.Client) -> dict[str, str]:
    source = {"source": "FILE_UPLOAD", "video_size": 100, "chunk_size": 100, "total_chunk_count": 1}
    body = {"post_info": {"privacy_level": "SELF_ONLY"}, "source_info": source}
    data: dict[str, str] = api.post(INIT, json=body).json()["data"]
    return data


def half_a_chunk(upload_url: str) -> socket.socket:
    """A connection over which the first half of a chunk of 100 bytes has gone."""
    url = httpx.URL(upload_url)
    connection = socket.create_connection((url.host, url.port))
    head = (
        f"PUT {url.raw_path.decode()} HTTP/1.1\r\nHost: {url.host}\r\nContent-Type: video/mp4\r\n"
        "Content-Length: 100\r\nContent-Range: bytes 0-99/100\r\n\r\n"
    )
    connection.sendall(head.encode() + bytes(50))
    return connection


def test_the_newest_of_two_requests_for_one_chunk_wins(tiktok_sandbox: Sandbox, api: httpx.Client) -> None:
    init = begin_small_upload(api)
    with half_a_chunk(init["upload_url"]) as hanging:
        while not tiktok_sandbox.requests("/upload"):
            pass
        assert put_chunks(init["upload_url"], b"b" * 100) == [201]
        hanging.sendall(bytes(50))
        assert hanging.recv(12) == b"HTTP/1.1 416"
    media = BROWSER.get(f"{tiktok_sandbox.url}/sandbox/media/{init['publish_id']}")
    assert media.content == b"b" * 100


def remove_the_app(sandbox: Sandbox) -> None:
    [app] = BROWSER.get(f"{sandbox.url}/sandbox/apps").json()
    [account] = BROWSER.get(f"{sandbox.url}/sandbox/accounts").json()
    body = {"client_key": app["client_key"]}
    BROWSER.post(f"{sandbox.url}/sandbox/accounts/{account['open_id']}/revoke", json=body).raise_for_status()


TOO_LATE: dict[str, tuple[Callable[[Sandbox], None], int]] = {
    "expired": (lambda sandbox: sandbox.advance(3600), 403),
    "app removed": (remove_the_app, 404),
    "reset": (lambda sandbox: sandbox.reset(), 404),
}


@pytest.mark.parametrize(("meanwhile", "status"), TOO_LATE.values(), ids=TOO_LATE.keys())
def test_a_chunk_that_ends_too_late_does_not_count(
    tiktok_sandbox: Sandbox, api: httpx.Client, meanwhile: Callable[[Sandbox], None], status: int
) -> None:
    init = begin_small_upload(api)
    with half_a_chunk(init["upload_url"]) as hanging:
        while not tiktok_sandbox.requests("/upload"):
            pass
        meanwhile(tiktok_sandbox)
        hanging.sendall(bytes(50))
        assert hanging.recv(12) == f"HTTP/1.1 {status}".encode()
    publishes = BROWSER.get(f"{tiktok_sandbox.url}/sandbox/publishes").json()
    assert all(publish["uploaded_bytes"] == 0 for publish in publishes)
    assert tiktok_sandbox.feed() == []


def test_a_check_that_breaks_down_fails_one_publish_and_no_call(
    tiktok_sandbox: Sandbox, api: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "check_video", None)
    put_chunks(begin_small_upload(api)["upload_url"], bytes(100))
    tiktok_sandbox.advance(10)
    [publish] = BROWSER.get(f"{tiktok_sandbox.url}/sandbox/publishes").json()
    assert (publish["status"], publish["fail_reason"]) == ("FAILED", "internal")


def test_the_same_seed_gives_the_same_ids(tiktok_sandbox: Sandbox) -> None:
    def made() -> list[str]:
        tiktok_sandbox.reset(seed=7)
        app, account = tiktok_sandbox.create_app(), tiktok_sandbox.create_account()
        tokens = tiktok_sandbox.issue_tokens(app, account)
        with client_of(tiktok_sandbox, tokens.access_token) as client:
            publish_id = begin_small_upload(client)["publish_id"]
        return [app.client_key, account.open_id, tokens.refresh_token, publish_id]

    assert made() == made()


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_the_program_serves_a_demo_until_it_is_stopped(stop: signal.Signals) -> None:
    command = [sys.executable, "-m", "tiktok_sandbox", "--port", "0", "--demo"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        demo = json.loads(program.stdout.readline())
        headers = {"Authorization": f"Bearer {demo['access_token']}"}
        answer = BROWSER.post(f"{demo['url']}/v2/post/publish/creator_info/query/", headers=headers).json()
        assert answer["data"]["creator_username"] == demo["username"]
        program.send_signal(stop)
        assert program.wait(timeout=60) == 0
