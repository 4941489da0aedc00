"""Connects the accounts of ``waiting.py`` in an Airflow's database, as ``airflow tiktok connect`` leaves them."""

import asyncio
import json
import sys
from collections.abc import Iterable
from typing import Any

from airflow.models import Connection

from tiktok_provider.api.oauth import TokenResponse
from tiktok_provider.database.accounts.service import AccountService
from tiktok_provider.database.session import transaction


async def connect(accounts: Iterable[dict[str, Any]]) -> None:
    """Make a Connection for each account, and give its tokens to the store."""
    store = AccountService()
    for account in accounts:
        with transaction() as session:
            session.add(Connection(conn_type="tiktok", **account["connection"]))
        tokens = TokenResponse.model_validate(account["tokens"])
        conn_id = account["connection"]["conn_id"]
        await store.connect(conn_id, tokens, actor="benchmark", username=account["username"])


if __name__ == "__main__":
    asyncio.run(connect(json.loads(sys.stdin.read())))
