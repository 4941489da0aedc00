"""Codes and tokens that were given out. What they are worth is decided in `granting`."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from tiktok_sandbox.records import AccessToken, Account, App, Authorization, RefreshToken


@dataclass
class AuthorizationCode:
    value: str
    app: App
    account: Account
    scope: list[str]
    redirect_uri: str
    challenge: str | None
    expires_at: float


@dataclass
class QrLogin:
    """A login that a creator finishes with the phone; `code` and `callback` are set once the creator agrees."""

    app: App
    scope: list[str]
    state: str | None
    expires_at: float
    status: Literal["new", "scanned", "confirmed", "expired"] = "new"
    ticket: str = ""
    code: str = ""
    callback: str = ""


@dataclass
class TokenBook:
    """By value. A code is removed when it is used."""

    codes: dict[str, AuthorizationCode] = field(default_factory=dict)
    access: dict[str, AccessToken] = field(default_factory=dict)
    refresh: dict[str, RefreshToken] = field(default_factory=dict)
    qr_logins: dict[str, QrLogin] = field(default_factory=dict)

    def granted(self, app: App, account: Account) -> Iterator[Authorization]:
        """What the creator has granted the app and not withdrawn."""
        for token in self.refresh.values():
            if not token.revoked and _same(token.authorization, app, account):
                yield token.authorization

    def revoke_all(self, app: App, account: Account) -> None:
        everything: list[AccessToken | RefreshToken] = [*self.access.values(), *self.refresh.values()]
        for token in everything:
            if _same(token.authorization, app, account):
                token.revoked = True


def _same(authorization: Authorization, app: App, account: Account) -> bool:
    return authorization.app is app and authorization.account is account
