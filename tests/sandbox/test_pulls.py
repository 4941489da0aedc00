"""A pull brings every byte or fails with its reason, and leaves nothing behind when it fails."""

import asyncio
import hashlib
import pathlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tiktok_sandbox.pulls import PullFailed, download

BODY = bytes(range(256)) * 1024


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        match self.path:
            case "/file":
                self._answer(200, BODY, len(BODY))
            case "/unannounced":
                self._answer(200, BODY, None)
            case "/broken":
                self._answer(200, BODY[:1000], len(BODY))
            case "/halting":
                self._answer(200, BODY[: len(BODY) // 2], len(BODY))
                # Says nothing more until the caller has gone.
                self.rfile.read(1)
            case "/moved":
                self._answer(302, b"", 0, Location="/file")
            case _:
                self._answer(int(self.path[1:]), b"", 0)

    def _answer(self, status: int, body: bytes, length: int | None, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing on the terminal."""


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def pull(url: str, target: pathlib.Path, max_bytes: int = len(BODY)) -> tuple[str, list[int]]:
    progress: list[int] = []
    job = download(url, target, max_bytes=max_bytes, on_progress=progress.append)
    return asyncio.run(job), progress


@pytest.mark.parametrize("path", ["/file", "/unannounced"])
def test_a_download_brings_all_bytes_and_their_hash(host: str, tmp_path: pathlib.Path, path: str) -> None:
    digest, progress = pull(host + path, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == BODY
    assert digest == hashlib.sha256(BODY).hexdigest()
    assert progress == sorted(set(progress))
    assert progress[-1] == len(BODY)


def test_this_machine_is_reached_without_the_proxy_of_the_environment(
    host: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    pull(host + "/file", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == BODY


@pytest.mark.parametrize("status", [204, 206, 300, 301, 304, 307, 403, 404, 500])
def test_only_an_answer_of_200_counts(host: str, tmp_path: pathlib.Path, status: int) -> None:
    with pytest.raises(PullFailed, match=str(status)):
        pull(f"{host}/{status}", tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_a_redirect_is_not_followed(host: str, tmp_path: pathlib.Path) -> None:
    with pytest.raises(PullFailed, match="redirect"):
        pull(host + "/moved", tmp_path / "a")


@pytest.mark.parametrize("path", ["/file", "/unannounced"])
def test_a_file_that_is_too_large_fails(host: str, tmp_path: pathlib.Path, path: str) -> None:
    with pytest.raises(PullFailed, match="more than"):
        pull(host + path, tmp_path / "a", max_bytes=len(BODY) - 1)
    assert not (tmp_path / "a").exists()


def test_a_body_that_breaks_off_fails_and_leaves_nothing(host: str, tmp_path: pathlib.Path) -> None:
    with pytest.raises(PullFailed):
        pull(host + "/broken", tmp_path / "a")
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/file", "ftp://127.0.0.1/file", "nonsense", "http://[broken/"]
)
def test_an_address_without_a_server_fails(tmp_path: pathlib.Path, url: str) -> None:
    with pytest.raises(PullFailed):
        pull(url, tmp_path / "a")


def test_a_cancelled_download_leaves_nothing(host: str, tmp_path: pathlib.Path) -> None:
    async def cancel_after_the_first_piece() -> None:
        started = asyncio.Event()
        job = download(
            host + "/halting",
            tmp_path / "a",
            max_bytes=len(BODY),
            on_progress=lambda _: started.set(),
        )
        task = asyncio.create_task(job)
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel_after_the_first_piece())
    assert not (tmp_path / "a").exists()
