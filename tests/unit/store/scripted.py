"""An account store that does what it is told, and what tests of its HTTP face share."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.models.log import Log
from sqlalchemy import select

from tiktok_provider.database.session import transaction
from tiktok_provider.exceptions import TikTokError
from tiktok_provider.store.token_sets import Busy, TokenState

CONN_ID, SECRET = "tiktok_default", "fake-client-secret"
STATE = TokenState(
    conn_id=CONN_ID,
    generation=4,
    access_expires_at=datetime(2030, 2, 1, 12, 0, 0, 500, tzinfo=UTC),
    refresh_expires_at=datetime(2031, 1, 31, 12, tzinfo=UTC),
    open_id="open-id-of-mia",
    scope="user.info.basic,video.publish",
    encrypted_access_token="fake-encrypted-token",
)


@dataclass
class ScriptedAccounts:
    """A store that does what it is told, in order, and then gives the state."""

    script: list[TokenState | Busy | TikTokError] = field(default_factory=list)
    asked: list[tuple[str, int | None]] = field(default_factory=list)

    async def look(self, conn_id: str) -> TokenState:
        outcome = self._next(conn_id, None)
        assert isinstance(outcome, TokenState)
        return outcome

    async def refresh(self, conn_id: str, seen_generation: int) -> TokenState | Busy:
        return self._next(conn_id, seen_generation)

    def _next(self, conn_id: str, seen_generation: int | None) -> TokenState | Busy:
        self.asked.append((conn_id, seen_generation))
        outcome = self.script.pop(0) if self.script else STATE
        if isinstance(outcome, TikTokError):
            raise outcome
        return outcome


def define(monkeypatch: pytest.MonkeyPatch, conn_id: str, **fields: Any) -> None:
    """Define a Connection where API server and workers see it."""
    document = json.dumps({"conn_type": "tiktok", "login": "fake-client-key", **fields})
    monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", document)


def audited() -> list[dict[str, Any]]:
    with transaction() as session:
        rows = session.scalars(select(Log).where(Log.event == "tiktok_not_authenticated").order_by(Log.id))
        return [json.loads(row.extra or "{}") for row in rows]
