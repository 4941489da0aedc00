"""The hook: an Airflow Connection in, TikTok calls out."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

import httpx
from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from tiktok_provider import __version__
from tiktok_provider.api import accounts, posting, videos
from tiktok_provider.api.calls import Call
from tiktok_provider.api.drivers import TIMEOUT, AsyncDriver, SyncDriver, nothing
from tiktok_provider.api.hosts import HostPolicy
from tiktok_provider.api.oauth import refresh_tokens
from tiktok_provider.exceptions import ApiError, AuthorizationError, TikTokError
from tiktok_provider.hooks.connection import account_of, masked_extra
from tiktok_provider.hooks.store_access import open_async_store, open_store
from tiktok_provider.hooks.tokens import Clock, Token, current_token, run_steps, run_steps_async
from tiktok_provider.metrics import REQUESTS_REPEATED, count
from tiktok_provider.security.redaction import redact
from tiktok_provider.security.tls import tiktok_tls
from tiktok_provider.store.address import tls_context
from tiktok_provider.store.client import AsyncStore, Store
from tiktok_provider.store.clock import utc_now
from tiktok_provider.store.connection import Account, host_policy, tokens_in
from tiktok_provider.store.errors import connection_not_found
from tiktok_provider.store.token_sets import StoredTokens

if TYPE_CHECKING:
    from airflow.sdk import Connection

T = TypeVar("T")

# What TikTok's token endpoint says of a token that it does not know, to an app that it does.
_APP_IS_KNOWN = "invalid_grant"
_NO_TOKEN = "rft.airflow-asks-with-a-token-that-cannot-exist"
_TOKEN_HAS_ENDED = "access_token_invalid"
_CLIENT_OPTIONS: dict[str, Any] = {
    "timeout": TIMEOUT,
    "headers": {"User-Agent": f"airflow-provider-tiktok/{__version__}"},
}


class TikTokHook(BaseHook):
    """Runs TikTok calls for one account.

    Any endpoint of ``tiktok_provider.api`` runs through ``run``; the common reads have methods of their own.
    Close the hook after use, or use it in a ``with`` statement.

    :param tiktok_conn_id: a Connection of type ``tiktok``.
    :param clock: tells the time, in UTC; it decides when the access token is refreshed.
    """

    conn_name_attr = "tiktok_conn_id"
    default_conn_name = "tiktok_default"
    conn_type = "tiktok"
    hook_name = "TikTok"

    def __init__(self, tiktok_conn_id: str = default_conn_name, *, clock: Clock = utc_now) -> None:
        super().__init__()
        self.tiktok_conn_id = tiktok_conn_id
        self._clock = clock
        self._token: Token | None = None
        self._kept_open_id = ""

    @cached_property
    def hosts(self) -> HostPolicy:
        """What ``[tiktok] allowed_hosts`` allows besides TikTok's own hosts."""
        return host_policy()

    @cached_property
    def account(self) -> Account:
        """The account, read once.

        :raises ConnectionUnreadableError: it is not defined, or cannot be read for a moment.
        :raises ConnectionSettingsError: it lacks something.
        """
        connection, _ = self._read_connection(self.tiktok_conn_id)
        return account_of(connection, self.hosts)

    @cached_property
    def _client(self) -> httpx.Client:
        return httpx.Client(base_url=self.account.base_url, verify=tiktok_tls(), **_CLIENT_OPTIONS)

    def run(self, call: Call[T], before_repeat: Callable[[], object] = nothing) -> T:
        """Run one call with the account's access token, which is refreshed when it must be.

        :param before_repeat: see ``SyncDriver.run``; ``RateLimiter.call`` gives one.
        :raises AccountDeadError: a person must connect the account again; nothing was sent.
        :raises TikTokError: what the call raises, or the store.
        """

        def count_repeat() -> None:
            before_repeat()
            count(REQUESTS_REPEATED)

        with self._discreet():
            return SyncDriver(self._client, self._access_token).run(call, count_repeat)

    def require_scope(self, scope: str) -> None:
        """Check that the account has granted a scope, before anything is sent.

        :raises ConnectionSettingsError: it has not.
        """
        self._current_token().require(scope, self.tiktok_conn_id)

    @property
    def granted_scopes(self) -> frozenset[str]:
        """What the account has granted; empty if that is not known."""
        return self._current_token().scopes

    @property
    def open_id(self) -> str:
        """TikTok's id of the account whose token is at hand; empty if that is not known, or there is none yet."""
        return self._token.open_id if self._token else ""

    def bind_to_account(self, open_id: str) -> None:
        """Act for this TikTok account alone from here on, whatever the Connection is made to hold meanwhile.

        :param open_id: TikTok's id of the account; empty: any.
        """
        self._kept_open_id = open_id

    @contextmanager
    def _discreet(self) -> Iterator[None]:
        """Keep the access token out of errors that repeat TikTok's words."""
        try:
            yield
        except TikTokError as error:
            redact(error, self._token.value if self._token else "")
            raise

    def _access_token(self, rejected: str | None) -> str | None:
        token = self._current_token(rejected)
        return token.value if token.value != rejected else None

    def _current_token(self, rejected: str | None = None) -> Token:
        if self._token is None or rejected or self._token.needs_refresh(self._clock()):
            steps = current_token(self.store.client_secret, rejected, self._clock)
            self._token = run_steps(steps, self.store)
        self._token.require_account(self._kept_open_id, self.tiktok_conn_id)
        return self._token

    @cached_property
    def store(self) -> Store:
        """The store of this account, which is closed with the hook."""
        return open_store(self.tiktok_conn_id, self.account.client_secret)

    def creator_info(self, before_repeat: Callable[[], object] = nothing) -> accounts.CreatorInfo:
        """Ask what the creator offers now: privacy levels, interactions, longest video. 20 a minute."""
        self.require_scope("video.publish")
        return self.run(accounts.creator_info(), before_repeat)

    def post_status(
        self, publish_id: str, before_repeat: Callable[[], object] = nothing
    ) -> posting.PostStatus:
        """Ask where a post stands. 30 a minute."""
        return self.run(posting.fetch_status(publish_id), before_repeat)

    def user_info(self, fields: Sequence[str] = accounts.BASIC_FIELDS) -> accounts.UserInfo:
        """Read the account's profile; ask only for fields that the granted scopes cover."""
        return self.run(accounts.user_info(fields))

    def list_videos(self, *, cursor: int | None = None, max_count: int = videos.MAX_PAGE) -> videos.VideoPage:
        """Read one page of public videos, newest first; ``cursor`` in milliseconds since the epoch."""
        self.require_scope("video.list")
        return self.run(videos.list_videos(cursor=cursor, max_count=max_count))

    def check_app(self) -> None:
        """Ask TikTok whether it knows the app: for a refresh with a token that cannot exist, so nothing comes of it.

        :raises OAuthError: it does not know the client key, or the client secret is another one.
        """
        app = self.account
        try:
            SyncDriver(self._client).run(refresh_tokens(app.client_key, app.client_secret, _NO_TOKEN))
        except TikTokError as error:
            if not _is_refusal(error, _APP_IS_KNOWN):
                redact(error, app.client_secret)
                raise

    def test_connection(self) -> tuple[bool, str]:
        """Try what a Connection itself says; used by the button in the connection form.

        The store is not asked: Airflow hands the form over under a random connection id, which the store does not
        know and under which it would keep the form's tokens. So without a valid access token the app alone is tried.
        """
        initial_tokens = None
        try:
            connection, extra = self._read_connection(self.tiktok_conn_id)
            initial_tokens = tokens_in(connection.conn_id, extra, self._clock())
            return True, self._owner(initial_tokens) or self._app(initial_tokens)
        except TikTokError as error:
            if initial_tokens:
                redact(error, initial_tokens.access_token)
            return False, str(error)

    def _owner(self, initial_tokens: StoredTokens | None) -> str:
        """Tell whose access token it is; nothing if there is none, or one that has ended and can be refreshed."""
        if not initial_tokens or not initial_tokens.access_token:
            return ""
        driver = SyncDriver(self._client, lambda rejected: None if rejected else initial_tokens.access_token)
        try:
            return f"TikTok knows this account as {driver.run(accounts.user_info()).display_name!r}."
        except AuthorizationError as error:
            if initial_tokens.refresh_token and _is_refusal(error, _TOKEN_HAS_ENDED):
                return ""
            raise

    def _app(self, initial_tokens: StoredTokens | None) -> str:
        self.check_app()
        refused = (
            " It does not take the access token in this form."
            if initial_tokens and initial_tokens.access_token
            else ""
        )
        return (
            f"TikTok accepts the client key and the client secret.{refused} The store refreshes the account's tokens,"
            " and this button cannot look into it: airflow tiktok doctor checks them."
        )

    def close(self) -> None:
        """Close the HTTP clients."""
        for name in ("_client", "store"):
            if name in self.__dict__:
                self.__dict__.pop(name).close()

    def __enter__(self) -> "TikTokHook":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @asynccontextmanager
    async def async_session(self) -> AsyncIterator["AsyncSession"]:
        """Open what an event loop needs of the account; reads the Connection without blocking the loop.

        :raises ConnectionSettingsError: if the Connection cannot be read or lacks something.
        """
        # The one of an earlier session may be another account's.
        self._token = None
        account = await self._async_account()
        # Reading the certificates takes long enough to hold up every other trigger of the loop.
        tls, _ = await asyncio.to_thread(lambda: (tiktok_tls(), tls_context()))
        async with (
            httpx.AsyncClient(base_url=account.base_url, verify=tls, **_CLIENT_OPTIONS) as client,
            open_async_store(self.tiktok_conn_id, account.client_secret) as store,
        ):
            driver = AsyncDriver(client, partial(self._async_access_token, store))
            yield AsyncSession(self, client.base_url.netloc.decode(), store, driver)

    async def _async_access_token(self, store: AsyncStore, rejected: str | None) -> str | None:
        if self._token is None or rejected or self._token.needs_refresh(self._clock()):
            steps = current_token(store.client_secret, rejected, self._clock)
            self._token = await run_steps_async(steps, store)
        return self._token.value if self._token.value != rejected else None

    async def _async_account(self) -> Account:
        # Airflow masks all that a Connection holds, each time with a new expression of all secrets so far. With a
        # hundred accounts that takes seconds, which a loop does not have; in threads side by side it takes longer.
        async with _reading():
            connection, _ = await asyncio.to_thread(self._read_connection, self.tiktok_conn_id)
        return account_of(connection, self.hosts)

    def _read_connection(self, conn_id: str) -> "tuple[Connection, dict[str, Any]]":
        try:
            connection = self.get_connection(conn_id)
        except AirflowNotFoundException as error:
            raise connection_not_found(conn_id) from error
        return connection, masked_extra(connection)


@dataclass(frozen=True, slots=True)
class AsyncSession:
    """An account in use on an event loop.

    :param host: where its calls go, with the port if it has one.
    """

    hook: TikTokHook
    host: str
    store: AsyncStore
    driver: AsyncDriver

    async def get_token(self) -> None:
        """Have an access token at hand; what is raised is of the store or the Connection, never of TikTok's API.

        :raises TikTokError: what the store raises.
        """
        await self.hook._async_access_token(self.store, None)

    async def run(self, call: Call[T], before_repeat: Callable[[], object] = nothing) -> T:
        """Run one call; see ``TikTokHook.run``."""
        with self.hook._discreet():
            return await self.driver.run(call, before_repeat)


_locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()


def _reading() -> asyncio.Lock:
    """Return the lock of this event loop that lets one Connection be read after the other."""
    return _locks.setdefault(asyncio.get_running_loop(), asyncio.Lock())


def _is_refusal(error: TikTokError, code: str) -> bool:
    return isinstance(error, ApiError) and error.code == code
