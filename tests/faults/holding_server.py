"""A server before TikTok that lets a call through and holds the answer back."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

import httpx


class HoldingServer(ThreadingHTTPServer):
    """Listens on a free port of this machine.

    :param target: origin that the calls go to.
    """

    daemon_threads = True

    def __init__(self, target: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = target
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.answered, self.release = Event(), Event()


class _Handler(BaseHTTPRequestHandler):
    server: HoldingServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {"Content-Type": self.headers["Content-Type"]}
        answer = httpx.post(
            f"{self.server.target}{self.path}", content=body, headers=headers, trust_env=False, timeout=60
        )
        self.server.answered.set()
        self.server.release.wait(30)
        try:
            self.send_response(answer.status_code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the caller was killed

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def holding_server(target: str) -> Iterator[HoldingServer]:
    """Serve until the block ends."""
    with HoldingServer(target) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield server
        finally:
            server.release.set()
            server.shutdown()
