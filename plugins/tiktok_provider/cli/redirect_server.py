"""Receives TikTok's redirect on a port of this machine."""

from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Empty, Queue
from threading import Thread
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from tiktok_provider.api.redirect_uri import port_of, with_port
from tiktok_provider.connect.authorization import ConsentError, ForeignRedirectError

_PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>airflow tiktok connect</title>'
    "<p>{}</p></html>"
)
_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'",
    # The address of the page holds the code.
    "Referrer-Policy": "no-referrer",
}


class RedirectServer:
    """Context manager: listens on the loopback interface for one redirect.

    :param redirect_uri: as registered, with a loopback host; ``*`` takes a free port.
    :raises ConsentError: the port is in use.
    """

    def __init__(self, redirect_uri: str) -> None:
        try:
            self._server = _Server(("127.0.0.1", port_of(redirect_uri) or 0), _Handler)
        except OSError as error:
            raise ConsentError(
                f"Nothing can listen for {redirect_uri} ({error.strerror}).\n"
                "End what uses the port, name another with --redirect-uri, or use --paste."
            ) from None
        self.redirect_uri = with_port(redirect_uri, self._server.server_port)
        self._server.path = urlsplit(redirect_uri).path or "/"

    def wait(self, code_in: Callable[[str], str], seconds: float) -> str:
        """Return the code of the first redirect that belongs to the attempt.

        :param code_in: ``AuthorizationRequest.code_in``.
        :raises ConsentError: the consent was refused, or the time is over.
        """
        self._server.code_in = code_in
        thread = Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)
        thread.start()
        try:
            outcome = self._server.outcomes.get(timeout=seconds)
        except Empty:
            raise ConsentError(
                f"TikTok did not lead back here within {seconds:.0f} s. Begin again."
            ) from None
        finally:
            self._server.shutdown()
            thread.join()
        if isinstance(outcome, ConsentError):
            raise outcome
        return outcome

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    """One thread for each request: browsers open connections ahead of time and send nothing on them."""

    path = "/"
    code_in: Callable[[str], str]

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self.outcomes: Queue[str | ConsentError] = Queue()
        super().__init__(address, handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 30

    def do_GET(self) -> None:
        """Answer the browser, then hand over the code or the error."""
        if urlsplit(self.path).path != self.server.path:
            self._answer(HTTPStatus.NOT_FOUND, "There is nothing here.")
            return
        outcome: str | ConsentError
        try:
            outcome = self.server.code_in(self.path)
        except ForeignRedirectError as error:
            # Any page can send a browser here, so the attempt goes on.
            self._answer(HTTPStatus.BAD_REQUEST, str(error))
            return
        except ConsentError as error:
            outcome = error
        try:
            self._answer(
                HTTPStatus.OK, "Airflow has TikTok's answer. Close this page and go back to the terminal."
            )
        finally:
            # Last, because the command may end with it, but in any case: a code works once and is not sent again.
            self.server.outcomes.put(outcome)

    def _answer(self, status: HTTPStatus, sentence: str) -> None:
        body = _PAGE.format(sentence).encode()
        self.send_response(status)
        for name, value in {**_HEADERS, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        # A browser that has hung up misses nothing but this page.
        with suppress(ConnectionError):
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Write nothing: the address holds the code."""
