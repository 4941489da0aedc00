"""The control API: apps, creators, tokens, clock, switches and faults. TikTok has nothing like it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tiktok_sandbox.fields import FieldError, build, change, json_object
from tiktok_sandbox.granting import (
    ACCESS_SECONDS,
    REFRESH_SECONDS,
    REMOVED_BY_USER,
    granted_scope,
    issue,
    remove_authorization,
    token_body,
)
from tiktok_sandbox.lifecycle import catch_up, let_work_finish
from tiktok_sandbox.records import Account, App, RefreshToken
from tiktok_sandbox.registering import change_account, new_account, new_app
from tiktok_sandbox.state import SandboxState
from tiktok_sandbox.webhook_events import all_sent

Body = dict[str, object]
Handler = Callable[[SandboxState, Request, Body], Awaitable[object]]
# Real time that work under way may take before the clock moves on.
PATIENCE_SECONDS = 5


class NotFoundError(LookupError):
    """Nothing has this name; the message says what was looked for."""


def control_route(state: SandboxState, method: str, path: str, handler: Handler) -> Route:
    """JSON in, JSON out; what a field error or a wrong name says is returned as `error`."""

    async def serve(request: Request) -> Response:
        try:
            return JSONResponse(await handler(state, request, await _body(request)))
        except NotFoundError as error:
            return JSONResponse({"error": str(error)}, 404)
        except FieldError as error:
            return JSONResponse({"error": str(error)}, 400)

    return Route(path, serve, methods=[method])


async def _body(request: Request) -> Body:
    raw = await request.body()
    return json_object(raw) if raw else {}


def control_routes(state: SandboxState) -> list[Route]:
    table: dict[tuple[str, str], Handler] = {
        ("POST", "/sandbox/reset"): _reset,
        ("POST", "/sandbox/apps"): _create_app,
        ("GET", "/sandbox/apps"): _apps,
        ("POST", "/sandbox/accounts"): _create_account,
        ("GET", "/sandbox/accounts"): _accounts,
        ("GET", "/sandbox/accounts/{open_id}"): _account,
        ("PATCH", "/sandbox/accounts/{open_id}"): _change_account,
        ("POST", "/sandbox/accounts/{open_id}/tokens"): _issue_tokens,
        ("POST", "/sandbox/accounts/{open_id}/revoke"): _revoke,
        ("GET", "/sandbox/clock"): _clock,
        ("POST", "/sandbox/clock"): _set_clock,
        ("GET", "/sandbox/switches"): _switches,
        ("PATCH", "/sandbox/switches"): _set_switches,
        ("GET", "/sandbox/faults"): _faults,
        ("POST", "/sandbox/faults"): _add_fault,
        ("DELETE", "/sandbox/faults"): _clear_faults,
    }
    return [control_route(state, method, path, handler) for (method, path), handler in table.items()]


@dataclass(frozen=True)
class _Reset:
    seed: int | None = None


async def _reset(state: SandboxState, _request: Request, body: Body) -> object:
    await state.reset(build(_Reset, body).seed)
    return {}


async def _create_app(state: SandboxState, _request: Request, body: Body) -> object:
    return asdict(new_app(state, body))


async def _apps(state: SandboxState, _request: Request, _: Body) -> object:
    return [asdict(app) for app in state.apps.values()]


async def _create_account(state: SandboxState, _request: Request, body: Body) -> object:
    return asdict(new_account(state, body))


async def _accounts(state: SandboxState, _request: Request, _: Body) -> object:
    return [asdict(account) for account in state.accounts.values()]


async def _account(state: SandboxState, request: Request, _: Body) -> object:
    return asdict(_named_account(state, request))


async def _change_account(state: SandboxState, request: Request, body: Body) -> object:
    account = _named_account(state, request)
    change_account(state, account, body)
    return asdict(account)


def _named_account(state: SandboxState, request: Request) -> Account:
    account = state.account(request.path_params["open_id"])
    if account is None:
        raise NotFoundError("There is no account with this open_id")
    return account


def _named_app(state: SandboxState, client_key: str) -> App:
    if client_key not in state.apps:
        raise FieldError("client_key is not the key of an app")
    return state.apps[client_key]


@dataclass(frozen=True)
class _TokenOrder:
    """`scope` is a comma list; without it, all that the app may ask for."""

    client_key: str
    scope: str | None = None
    expires_in: float = ACCESS_SECONDS
    refresh_expires_in: float = REFRESH_SECONDS


async def _issue_tokens(state: SandboxState, request: Request, body: Body) -> object:
    order = build(_TokenOrder, body)
    app = _named_app(state, order.client_key)
    scope = app.scopes if order.scope is None else order.scope.split(",")
    if not set(scope) <= set(app.scopes):
        raise FieldError("scope has a scope that the app may not ask for")
    account, granted = _named_account(state, request), granted_scope(state, scope)
    return issued_tokens(
        state, issue(state, app, account, granted, order.expires_in, order.refresh_expires_in)
    )


def issued_tokens(state: SandboxState, tokens: RefreshToken) -> Body:
    """The token endpoint's body, and when the tokens expire as ISO 8601."""
    return {
        **token_body(state, tokens),
        "access_expires_at": _iso(tokens.access.expires_at),
        "refresh_expires_at": _iso(tokens.expires_at),
    }


def _iso(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).isoformat()


@dataclass(frozen=True)
class _Revocation:
    client_key: str


async def _revoke(state: SandboxState, request: Request, body: Body) -> object:
    app = _named_app(state, build(_Revocation, body).client_key)
    account = _named_account(state, request)
    if app.client_key not in account.open_ids:
        raise FieldError("client_key is of an app that this account never authorized")
    remove_authorization(state, app, account, REMOVED_BY_USER)
    return {}


async def _clock(state: SandboxState, _request: Request, _: Body) -> object:
    return {"now": state.clock.now(), "frozen": state.clock.frozen}


@dataclass(frozen=True)
class _ClockOrder:
    frozen: bool | None = None
    advance: float | None = None


async def _set_clock(state: SandboxState, request: Request, body: Body) -> object:
    order = build(_ClockOrder, body)
    if order.advance is not None and order.advance < 0:
        raise FieldError("advance must not be negative")
    if order.frozen is not None:
        (state.clock.freeze if order.frozen else state.clock.unfreeze)()
    if order.advance is not None:
        # What has begun before the jump is over after it, however short the real time between was.
        await let_work_finish(state, PATIENCE_SECONDS)
        state.clock.advance(order.advance)
        await catch_up(state)
        await state.webhooks.tick()
        await all_sent(state, PATIENCE_SECONDS)
    return await _clock(state, request, {})


async def _switches(state: SandboxState, _request: Request, _: Body) -> object:
    return asdict(state.switches)


async def _set_switches(state: SandboxState, _request: Request, body: Body) -> object:
    change(state.switches, body)
    return asdict(state.switches)


async def _faults(state: SandboxState, _request: Request, _: Body) -> object:
    return state.faults.as_json()


async def _add_fault(state: SandboxState, _request: Request, body: Mapping[str, object]) -> object:
    return asdict(state.faults.add(body))


async def _clear_faults(state: SandboxState, _request: Request, _: Body) -> object:
    state.faults.clear()
    return {}
