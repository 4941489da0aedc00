"""A thin client of the sandbox's control API, the same for a sandbox in this process and a remote one."""

import dataclasses
from typing import Any, Self, TypeVar, cast

import httpx

Json = dict[str, Any]
_Record = TypeVar("_Record", "App", "Account", "Tokens")


class SandboxError(Exception):
    """The control API refused a call; the message says which one and why."""


@dataclasses.dataclass(frozen=True)
class App:
    """A TikTok app as the sandbox knows it."""

    client_key: str
    client_secret: str
    audited: bool
    sandbox: bool
    scopes: list[str]
    redirect_uris: list[str]
    platform: str
    url_prefixes: list[str]
    webhook_url: str | None
    active_user_cap: int | None


@dataclasses.dataclass(frozen=True)
class Account:
    """A creator."""

    open_id: str
    username: str
    nickname: str
    private: bool
    comment_disabled: bool
    duet_disabled: bool
    stitch_disabled: bool
    max_video_post_duration_sec: int
    hidden_privacy_levels: list[str]
    banned: bool
    app_version: str
    daily_post_cap: int


@dataclasses.dataclass(frozen=True)
class Tokens:
    """The tokens of one creator and app; lifetimes in seconds, `*_at` as ISO 8601 in UTC."""

    access_token: str
    refresh_token: str
    open_id: str
    scope: str
    expires_in: int
    refresh_expires_in: int
    access_expires_at: str
    refresh_expires_at: str


class Sandbox:
    """The control API of one sandbox; every method is one call and raises `SandboxError` if it is refused.

    :param url: where the sandbox is served, for example `http://127.0.0.1:9080`.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        # A sandbox is near: a proxy from the environment would only hide it.
        self._http = httpx.Client(base_url=self.url, timeout=30, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections to the sandbox, which runs on."""
        self._http.close()

    def create_app(self, **fields: object) -> App:
        """Create an app; `fields` as in the README, all optional."""
        return _record(App, self._call("POST", "/sandbox/apps", fields))

    def create_account(self, **fields: object) -> Account:
        """Create a creator; `fields` as in the README, all optional."""
        return _record(Account, self._call("POST", "/sandbox/accounts", fields))

    def update_account(self, open_id: str, **fields: object) -> Account:
        """Change the named fields of a creator."""
        return _record(Account, self._call("PATCH", f"/sandbox/accounts/{open_id}", fields))

    def issue_tokens(self, app: App, account: Account, **fields: object) -> Tokens:
        """Give the app tokens of the creator, without the consent page.

        `fields`: `scope` (comma-separated), `expires_in` and `refresh_expires_in` (seconds, may be negative).
        """
        body = {"client_key": app.client_key, **fields}
        return _record(Tokens, self._call("POST", f"/sandbox/accounts/{account.open_id}/tokens", body))

    def set_switches(self, **values: object) -> Json:
        """Turn the named switches and return all."""
        return cast(Json, self._call("PATCH", "/sandbox/switches", values))

    def now(self) -> float:
        """The sandbox's time in seconds since the epoch."""
        return float(self._call("GET", "/sandbox/clock")["now"])

    def advance(self, seconds: float) -> None:
        """Let the sandbox's clock jump ahead by so many seconds."""
        self._call("POST", "/sandbox/clock", {"advance": seconds})

    def freeze(self) -> None:
        """Stop the clock: from now on only `advance` moves it."""
        self._call("POST", "/sandbox/clock", {"frozen": True})

    def unfreeze(self) -> None:
        """Let the clock run again."""
        self._call("POST", "/sandbox/clock", {"frozen": False})

    def add_fault(
        self,
        action: Json | str,
        *,
        path: str | None = None,
        method: str | None = None,
        open_id: str | None = None,
        publish_id: str | None = None,
        times: int | None = 1,
        skip: int = 0,
        probability: float = 1.0,
        **action_fields: object,
    ) -> Json:
        """Let calls fail, for example `add_fault("error", code="internal_error", path="/v2/post/")`.

        :param action: the action, or its `type` with the rest in `action_fields`.
        :param path: prefix of the path; with `method`, `open_id` and `publish_id` it says which calls are meant.
        :param times: how many calls fail; None: all. Default 1.
        :param skip: how many matching calls pass before. Default 0.
        :param probability: the share of the matching calls that fail, 0 to 1. Default 1.
        """
        match = {"path": path, "method": method, "open_id": open_id, "publish_id": publish_id}
        rule = {
            "match": {name: value for name, value in match.items() if value is not None},
            "action": {"type": action, **action_fields}
            if isinstance(action, str)
            else {**action, **action_fields},
            "times": times,
            "skip": skip,
            "probability": probability,
        }
        return cast(Json, self._call("POST", "/sandbox/faults", rule))

    def faults(self) -> list[Json]:
        """All fault rules, with how often each fired."""
        return cast(list[Json], self._call("GET", "/sandbox/faults"))

    def clear_faults(self) -> None:
        """Remove all fault rules."""
        self._call("DELETE", "/sandbox/faults")

    def feed(self) -> list[Json]:
        """The truth: all posts and drafts, oldest first."""
        return cast(list[Json], self._call("GET", "/sandbox/feed"))

    def publishes(self) -> list[Json]:
        """Return all that was ever started, with what became of it; `*_at` in seconds on the sandbox's clock."""
        rows: list[Json] = self._call("GET", "/sandbox/publishes")
        return rows

    def requests(self, path: str = "") -> list[Json]:
        """The log of all calls to TikTok's routes whose path starts with `path`, oldest first."""
        return cast(list[Json], self._call("GET", "/sandbox/requests", query={"path": path}))

    def reset(self, seed: int | None = None) -> None:
        """Forget everything and set all switches back; `seed` starts the sandbox's dice again."""
        self._call("POST", "/sandbox/reset", {} if seed is None else {"seed": seed})

    def _call(self, method: str, path: str, body: object = None, query: dict[str, str] | None = None) -> Any:
        response = self._http.request(method, path, json=body, params=query)
        if not response.is_success:
            raise SandboxError(f"{method} {path}: {response.status_code} {response.text}")
        return response.json() if response.content else None


def _record(kind: type[_Record], row: Json) -> _Record:
    """Read what we know of the row; the sandbox may say more."""
    return kind(**{field.name: row[field.name] for field in dataclasses.fields(kind)})
