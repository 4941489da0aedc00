"""A process like a worker's: no database; Connections over the Execution API, the token through the store.

`python -m tests.faults.worker_process CALLERS` prints `ready` and waits for a line; then so many callers read the
Connection from Airflow at the same moment, as a control. Once more `ready` and a line; then they get a token at the
same moment. It prints a JSON list: each one's generation, and its seconds. TikTok has taken the token.
"""

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import httpx
from airflow.sdk.api.client import Client
from airflow.sdk.api.datamodels._generated import ConnectionResponse
from airflow.sdk.execution_time.supervisor import block_orm_access

from tiktok_provider.api.accounts import user_info
from tiktok_provider.api.drivers import SyncDriver
from tiktok_provider.hooks.store_access import open_store
from tiktok_provider.hooks.tokens import current_token, run_steps
from tiktok_provider.store.address import tls_context
from tiktok_provider.store.client import HttpStore

CONN_ID = "mia"


def main() -> None:
    block_orm_access()
    callers = int(sys.argv[1])
    ready, start = Barrier(callers + 1), Barrier(callers + 1)
    with ThreadPoolExecutor(callers) as threads:
        found = [threads.submit(_one_caller, ready, start) for _ in range(callers)]
        for _ in ("the control", "the token"):
            ready.wait()
            sys.stdout.write("ready\n")
            sys.stdout.flush()
            sys.stdin.readline()
            start.wait()
    sys.stdout.write(json.dumps([caller.result() for caller in found]) + "\n")


def _one_caller(ready: Barrier, start: Barrier) -> dict[str, Any]:
    with Client(base_url=os.environ["EXECUTION_API"], token=os.environ["TASK_TOKEN"]) as api:
        user = _connection(api, CONN_ID)
        ready.wait()
        start.wait()
        _read_from_airflow()
        ready.wait()
        start.wait()
        began = time.monotonic()
        with open_store(CONN_ID, user.password or "") as store:
            assert isinstance(store, HttpStore)
            token = run_steps(current_token(store.client_secret), store)
            seconds = time.monotonic() - began
            generation = store.look().generation
    with httpx.Client(base_url=user.host or "", trust_env=False) as client:
        SyncDriver(client, lambda spent: None if spent else token.value).run(user_info())
    return {"generation": generation, "seconds": seconds}


def _read_from_airflow() -> None:
    """Do what Airflow itself does for every task with a Connection, with a client as quick as the store's."""
    headers = {"Authorization": f"Bearer {os.environ['TASK_TOKEN']}"}
    with httpx.Client(headers=headers, timeout=60, verify=tls_context()) as client:
        client.get(f"{os.environ['EXECUTION_API']}connections/{CONN_ID}").raise_for_status()


def _connection(api: Client, conn_id: str) -> ConnectionResponse:
    answer = api.connections.get(conn_id)
    assert isinstance(answer, ConnectionResponse), answer
    return answer


if __name__ == "__main__":
    main()
