"""What a worker sees of the store."""

import asyncio
from typing import Any

from airflow.sdk import DAG, task

from tiktok_provider.hooks.store_access import open_async_store, open_store


@task(retries=0)
def ask(conn_id: str) -> dict[str, Any]:
    """Look and refresh in both ways; tell of generations, and which kind of store it was."""

    async def ask_async() -> list[Any]:
        async with open_async_store(conn_id) as store:
            state = await store.look()
            return [type(store).__name__, state.generation, (await store.refresh(0)) == state]

    with open_store(conn_id) as store:
        first = store.look()
        second = store.refresh(first.generation)
        return {"sync": [type(store).__name__, second != first], "async": asyncio.run(ask_async())}


with DAG("case_store", schedule=None) as case_store:
    ask("{{ (dag_run.conf or {}).get('conn_id', 'tiktok_default') }}")
