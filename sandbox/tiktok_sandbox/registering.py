"""Creates apps and creators from what the caller gives, and makes up the rest."""

import re
from collections.abc import Mapping
from dataclasses import replace

from tiktok_sandbox.fields import FieldError, build, change
from tiktok_sandbox.records import ALL_SCOPES, Account, App
from tiktok_sandbox.redirects import check_redirects
from tiktok_sandbox.state import SandboxState

_IDENTITY = ("open_id", "union_id", "open_ids")
_VERSION = re.compile(r"\d+(\.\d+)*")
_USERNAME = re.compile(r"[\w.]{1,24}")


def new_app(state: SandboxState, values: Mapping[str, object]) -> App:
    """Raises FieldError for what TikTok's portal refuses."""
    prefix = "sbaw" if values.get("sandbox") else "aw"
    made_up = {"client_key": f"{prefix}{state.text_id(16).lower()}", "client_secret": state.text_id(32)}
    app = build(App, {**made_up, **values})
    if app.client_key in state.apps:
        raise FieldError("client_key is in use")
    if not set(app.scopes) <= set(ALL_SCOPES):
        raise FieldError("scopes has an unknown scope")
    check_redirects(app.redirect_uris, app.platform)
    for prefix in app.url_prefixes:
        _check_property(prefix)
    state.apps[app.client_key] = app
    return app


def _check_property(name: str) -> None:
    if name.startswith("https://"):
        if not name.endswith("/"):
            raise FieldError("url_prefixes: a prefix must end with a slash")
    elif "/" in name or ":" in name:
        raise FieldError("url_prefixes: must be a domain or begin with https://")


def new_account(state: SandboxState, values: Mapping[str, object]) -> Account:
    if barred := sorted(set(values) & set(_IDENTITY)):
        raise FieldError(f"{barred[0]} is made up by the sandbox")
    username = f"creator{len(state.accounts) + 1}"
    made_up = {"open_id": state.open_id(), "union_id": state.open_id(), "username": username, "nickname": ""}
    account = build(Account, {**made_up, **values})
    account.nickname = account.nickname or account.username.capitalize()
    _check_account(state, account)
    state.accounts[account.open_id] = account
    return account


def change_account(state: SandboxState, account: Account, values: Mapping[str, object]) -> None:
    """Set some fields, all or none."""
    trial = replace(account)
    change(trial, values, fixed=_IDENTITY)
    _check_account(state, trial)
    change(account, values, fixed=_IDENTITY)


def _check_account(state: SandboxState, account: Account) -> None:
    namesake = state.account_named(account.username)
    if namesake is not None and namesake.open_id != account.open_id:
        raise FieldError("username is in use")
    if not _VERSION.fullmatch(account.app_version):
        raise FieldError("app_version must be numbers with dots between them")
    if not _USERNAME.fullmatch(account.username):
        raise FieldError("username must be 1 to 24 letters, digits, underscores and dots")
