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
from tiktok_provider.store.requests import MOUNT, GetTokens, RefreshTokens, StoreRequest
from tiktok_provider.store.signing import Proof, ProofRefusedError, SignedRequest
from tiktok_provider.store.token_sets import Busy, TokenState

T = TypeVar("T")


class Store(ABC):
    """The store of one account. Close it after use, or use it in a ``with`` statement.

    All methods raise what the store raises: ``AccountDeadError``, ``ConnectionUnreadableError``,
    ``ConnectionSettingsError``, ``StoreNotReadyError``, ``StoreBusyError`` (after some tries), the errors of posts,
    ``ProofRefusedError``, ``StoreAnswerError``; and ``UnreachableError`` if it does not answer.
    """

    def __init__(self, conn_id: str) -> None:
        self.conn_id = conn_id

    def look(self) -> TokenState:
        """Tell where the tokens are and which generation; never a token."""
        return self.run(GetTokens())

    def refresh(self, seen_generation: int) -> TokenState | Busy:
        """Get a newer set than the one that was seen; ``Busy`` if somebody else is at it."""
        return self.run(RefreshTokens(seen_generation))

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

    def __init__(self, conn_id: str) -> None:
        self.conn_id = conn_id

    async def look(self) -> TokenState:
        """See ``Store.look``."""
        return await self.run(GetTokens())

    async def refresh(self, seen_generation: int) -> TokenState | Busy:
        """See ``Store.refresh``."""
        return await self.run(RefreshTokens(seen_generation))

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
        super().__init__(conn_id)
        address = store_address()
        self._proof = ProofAuth(conn_id, client_secret, address)
        self._client = httpx.Client(**_client_options(address, self._proof))
        self._driver = SyncDriver(self._client, sleep=sleep)

    def run(self, request: StoreRequest[T]) -> T:
        """Ask the store; on a refused proof once more with the secret that the Connection has now."""
        with _explained(self._client.base_url):
            if not self._proof.client_secret:
                self._proof.client_secret = self._read_secret()
            try:
                return self._driver.run(request.call(self.conn_id))
            except ProofRefusedError:
                if not self._proof.renew(self._read_secret()):
                    raise
                return self._driver.run(request.call(self.conn_id))

    def close(self) -> None:
        """Close the HTTP client."""
        self._client.close()

    def _read_secret(self) -> str:
        with _reading(self.conn_id):
            return read_client_secret(self.conn_id, BaseHook.get_connection(self.conn_id).password)


class AsyncHttpStore(AsyncStore):
    """Asks the API server; see ``HttpStore``."""

    def __init__(
        self, conn_id: str, client_secret: str = "", sleep: Callable[[float], Awaitable[None]] | None = None
    ) -> None:
        super().__init__(conn_id)
        address = store_address()
        self._proof = ProofAuth(conn_id, client_secret, address)
        self._client = httpx.AsyncClient(**_client_options(address, self._proof))
        self._driver = AsyncDriver(self._client, sleep=sleep)

    async def run(self, request: StoreRequest[T]) -> T:
        """See ``HttpStore.run``."""
        with _explained(self._client.base_url):
            if not self._proof.client_secret:
                self._proof.client_secret = await self._read_secret()
            try:
                return await self._driver.run(request.call(self.conn_id))
            except ProofRefusedError:
                if not self._proof.renew(await self._read_secret()):
                    raise
                return await self._driver.run(request.call(self.conn_id))

    async def close(self) -> None:
        """Close the HTTP client."""
        await self._client.aclose()

    async def _read_secret(self) -> str:
        # Airflow's compatibility helper knows how to read a Connection without blocking the loop.
        from airflow.providers.common.compat.connection import get_async_connection

        with _reading(self.conn_id):
            connection = await get_async_connection(self.conn_id)
            return read_client_secret(self.conn_id, connection.password)


class ProofAuth(httpx.Auth):
    """Proves every request at the moment of sending, so that a repetition has a nonce of its own."""

    requires_request_body = True

    def __init__(self, conn_id: str, client_secret: str, address: str) -> None:
        self.conn_id = conn_id
        self.client_secret = client_secret
        self._mount = httpx.URL(address).path.rstrip("/") + MOUNT

    def renew(self, client_secret: str) -> bool:
        """Take the secret as it is now; return whether it is another one."""
        changed, self.client_secret = client_secret != self.client_secret, client_secret
        return changed

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Sign what is about to be sent."""
        signed = SignedRequest(
            method=request.method,
            conn_id=self.conn_id,
            route=request.url.path.removeprefix(self._mount),
            query=tuple(request.url.params.multi_items()),
            body=request.content,
        )
        request.headers.update(Proof.make(self.client_secret, signed, datetime.now(UTC)).headers())
        yield request


def _client_options(address: str, proof: ProofAuth) -> dict[str, Any]:
    return {
        "auth": proof,
        "base_url": address,
        "headers": {"User-Agent": f"airflow-provider-tiktok/{__version__}"},
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
            f"The TikTok store in Airflow's API server at {address} cannot be reached from here. {error}"
            f" {ADDRESS_SOURCE}",
            maybe_processed=error.maybe_processed,
        ) from None


@contextmanager
def _reading(conn_id: str) -> Iterator[None]:
    try:
        yield
    except AirflowNotFoundException as error:
        raise connection_not_found(conn_id) from error
