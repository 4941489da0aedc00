"""A process that lives for months and gets tokens as the hook does collects neither masks nor expressions."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk._shared.secrets_masker import mask_secret

from tiktok_provider.hooks.tokens import current_token, run_steps, run_steps_async
from tiktok_provider.security.encryption import Purpose, encrypt
from tiktok_provider.security.masking import KEPT, TokenMasks, maskers
from tiktok_provider.store.client import AsyncStore, Store
from tiktok_provider.store.requests import StoreRequest
from tiktok_provider.store.token_sets import TokenState

SECRET = "fake-client-secret"
ACCOUNTS = [f"account-{number}" for number in range(5)]
END = datetime(2100, 1, 1, tzinfo=UTC)


def token_of(conn_id: str, day: int) -> str:
    return f"act.fake!{conn_id}*{day}"


def state_of(conn_id: str, day: int) -> TokenState:
    encrypted = encrypt(SECRET, token_of(conn_id, day), Purpose.ACCESS_TOKEN)
    return TokenState(conn_id, day, END, END + timedelta(days=300), "", "", encrypted)


@dataclass
class OfADay(Store):
    """Answers with the token of a day."""

    conn_id: str
    day: int

    def run(self, request: StoreRequest[Any]) -> Any:  # noqa: ARG002
        return state_of(self.conn_id, self.day)


@dataclass
class AsyncOfADay(AsyncStore):
    """Answers with the token of a day."""

    conn_id: str
    day: int

    async def run(self, request: StoreRequest[Any]) -> Any:  # noqa: ARG002
        return state_of(self.conn_id, self.day)


def in_a_task(conn_id: str, day: int) -> str:
    return run_steps(current_token(SECRET), OfADay(conn_id, day)).value


def in_a_triggerer(conn_id: str, day: int) -> str:
    return asyncio.run(run_steps_async(current_token(SECRET), AsyncOfADay(conn_id, day))).value


def expressions_that_re_keeps(part: str) -> int:
    return sum(part in str(key) for key in re._cache)  # type: ignore[attr-defined]


@pytest.mark.parametrize("get", [in_a_task, in_a_triggerer])
def test_the_masks_are_those_of_the_last_two_days_and_re_keeps_no_expression_of_them(
    get: Callable[[str, int], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tiktok_provider.hooks.tokens.TOKEN_MASKS", TokenMasks())
    counts: list[list[int]] = []
    for day in range(1, 31):
        # As plain as the token's own, with which Airflow masks what a Connection brings.
        mask_secret("a secret of a connection")
        for conn_id in ACCOUNTS:
            assert get(conn_id, day) == token_of(conn_id, day)
        counts.append([sum("fake" in pattern for pattern in masker.patterns) for masker in maskers()])
        for conn_id in ACCOUNTS:
            assert [masker.redact(token_of(conn_id, day)) for masker in maskers()] == ["***"] * 2
            assert [masker.redact(token_of(conn_id, day - KEPT)) for masker in maskers()] != ["***"] * 2
    # As it is, and as URLs carry it.
    assert counts[-1] == [2 * KEPT * len(ACCOUNTS)] * 2
    assert counts[KEPT - 1 :] == [counts[-1]] * (30 - KEPT + 1)
    assert expressions_that_re_keeps("fake") <= 1
