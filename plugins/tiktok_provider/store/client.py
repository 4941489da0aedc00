"""The store as workers and triggers see it, over HTTP.

What can be asked is in ``requests``; the synchronous and the asynchronous stores run the same requests.
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from tiktok_provider import __version__
from tiktok_provider.api.drivers import TIMEOUT, AsyncDriver, SyncDriver
from tiktok_provider.exceptions import UnreachableError
from tiktok_provider.store.address import ADDRESS_SOURCE, store_address, tls_context
from tiktok_provider.store.connection import read_client_secret
from tiktok_provider.store.errors import StoreUnreachableError, connection_not_found
from tiktok_provider.store.requests import (
    MOUNT,
    PROTOCOL,
    PROTOCOL_HEADER,
    GetTokens,
    RefreshTokens,
    StoreRequest,
)
from tiktok_provider.store.signing import RequestNotAuthenticatedError, SignedRequest
from tiktok_provider.store.token_sets import Busy, TokenState

T = TypeVar("T")


class Store(ABC):
    """The store of one account. Close it after use, or use it in a ``with`` statement.

    All methods raise what the store raises: ``AccountDeadError``, ``ConnectionUnreadableError``,
    ``ConnectionSettingsError``, ``StoreNotReadyError``, ``StoreBusyError`` (after some tries), the errors of posts,
    ``RequestNotAuthenticatedError``, ``StoreAnswerError``; and ``UnreachableError`` if it does not answer.

    :param client_secret: of the Connection, if the caller has read it already; else it is read when it is needed.
    """

    def __init__(self, conn_id: str, client_secret: str = "") -> None:
        self.conn_id = conn_id
        self.client_secret = client_secret

    def look(self) -> TokenState:
        """Return the current tokens' state, with the access token encrypted."""
        return self.run(GetTokens())

    def refresh(self, seen_generation: int) -> TokenState | Busy:
        """Return newer tokens than those of a generation; ``Busy`` while another process refreshes them."""
        return self.run(RefreshTokens(seen_generation))

    def renew_secret(self) -> str:
        """Read the client secret that the Connection has now, keep and return it."""
        with _reading(self.conn_id):
            self.client_secret = read_client_secret(
                self.conn_id, BaseHook.get_connection(self.conn_id).password
            )
        return self.client_secret

    @abstractmethod
    def run(self, request: StoreRequest[T]) -> T:
        """Ask the store."""

    def close(self) -> None:  # noqa: B027  (nothing to close in process)
        """Close the connection to the API server."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncStore(ABC):
    """The store of one account for an event loop; see ``Store``."""

    def __init__(self, conn_id: str, client_secret: str = "") -> None:
        self.conn_id = conn_id
        self.client_secret = client_secret

    async def look(self) -> TokenState:
        """See ``Store.look``."""
        return await self.run(GetTokens())

    async def refresh(self, seen_generation: int) -> TokenState | Busy:
        """See ``Store.refresh``."""
        return await self.run(RefreshTokens(seen_generation))

    async def renew_secret(self) -> str:
        """See ``Store.renew_secret``."""
        # Airflow's compatibility helper reads a Connection without blocking the loop.
        from airflow.providers.common.compat.connection import get_async_connection

        with _reading(self.conn_id):
            connection = await get_async_connection(self.conn_id)
            self.client_secret = read_client_secret(self.conn_id, connection.password)
        return self.client_secret

    @abstractmethod
    async def run(self, request: StoreRequest[T]) -> T:
        """Ask the store."""

    async def close(self) -> None:  # noqa: B027  (nothing to close in process)
        """Close the connection to the API server."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class HttpStore(Store):
    """Asks the API server.

    :param sleep: waits between tries, in seconds.
    """

    def __init__(
        self, conn_id: str, client_secret: str = "", sleep: Callable[[float], None] | None = None
    ) -> None:
        super().__init__(conn_id, client_secret)
        address = store_address()
        self._client = httpx.Client(**_client_options(address, RequestAuth(self, address)))
        self._driver = SyncDriver(self._client, sleep=sleep)

    def run(self, request: StoreRequest[T]) -> T:
        """Ask the store; if it does not accept the token, once more with the secret that the Connection has now."""
        with _explained(self._client.base_url):
            used = self.client_secret or self.renew_secret()
            try:
                return self._driver.run(request.call(self.conn_id))
            except RequestNotAuthenticatedError:
                if self.renew_secret() == used:
                    raise
                return self._driver.run(request.call(self.conn_id))

    def close(self) -> None:
        """Close the HTTP client."""
        self._client.close()


class AsyncHttpStore(AsyncStore):
    """Asks the API server; see ``HttpStore``."""

    def __init__(
        self, conn_id: str, client_secret: str = "", sleep: Callable[[float], Awaitable[None]] | None = None
    ) -> None:
        super().__init__(conn_id, client_secret)
        address = store_address()
        self._client = httpx.AsyncClient(**_client_options(address, RequestAuth(self, address)))
        self._driver = AsyncDriver(self._client, sleep=sleep)

    async def run(self, request: StoreRequest[T]) -> T:
        """See ``HttpStore.run``."""
        with _explained(self._client.base_url):
            used = self.client_secret or await self.renew_secret()
            try:
                return await self._driver.run(request.call(self.conn_id))
            except RequestNotAuthenticatedError:
                if await self.renew_secret() == used:
                    raise
                return await self._driver.run(request.call(self.conn_id))

    async def close(self) -> None:
        """Close the HTTP client."""
        await self._client.aclose()


class RequestAuth(httpx.Auth):
    """Signs every request at the moment of sending, so that a repetition has a token of its own."""

    requires_request_body = True

    def __init__(self, store: Store | AsyncStore, address: str) -> None:
        self._store = store
        self._mount = httpx.URL(address).path.rstrip("/") + MOUNT

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Sign what is about to be sent."""
        signed = SignedRequest(
            method=request.method,
            conn_id=self._store.conn_id,
            route=request.url.path.removeprefix(self._mount),
            query=tuple(request.url.params.multi_items()),
            body=request.content,
        )
        request.headers.update(signed.sign(self._store.client_secret, datetime.now(UTC)))
        yield request


def _client_options(address: str, auth: RequestAuth) -> dict[str, Any]:
    return {
        "auth": auth,
        "base_url": address,
        "headers": {"User-Agent": f"airflow-provider-tiktok/{__version__}", PROTOCOL_HEADER: PROTOCOL},
        "timeout": TIMEOUT,
        "verify": tls_context(),
    }


@contextmanager
def _explained(address: httpx.URL) -> Iterator[None]:
    """Say of a server that does not answer where its address comes from."""
    try:
        yield
    except UnreachableError as error:
        raise StoreUnreachableError(
            f"The store in Airflow's API server cannot be reached: {address}\n{error}\n{ADDRESS_SOURCE}",
            maybe_processed=error.maybe_processed,
        ) from None


@contextmanager
def _reading(conn_id: str) -> Iterator[None]:
    try:
        yield
    except AirflowNotFoundException as error:
        raise connection_not_found(conn_id) from error
