"""Keep the TikTok accounts alive: every day refresh what must be, and say which ones need a person.

The accounts are the connection ids in the Airflow Variable `tiktok_accounts`, a JSON list; without it
`tiktok_default`. A worker can ask the store only for connections that it can read,
and for no list of all.

`check_accounts` fails with the names of accounts that could not be checked, and of all others that need a person.
`warn_of_ends` succeeds when an account ends within 30 days and is skipped otherwise; `name_the_dead` fails with the
names of accounts that must be connected again. Put your notifiers on all three.
"""

from dataclasses import asdict
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Variable, task
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from tiktok_provider.doctor.health import Health, check_health, describe

with DAG("tiktok_account_health", schedule="@daily", catchup=False, doc_md=__doc__, tags=["tiktok"]):

    @task(retries=3, retry_delay=timedelta(minutes=5))
    def check_accounts() -> list[dict[str, Any]]:
        """Look at each account; what cannot be finished now is tried again."""
        conn_ids = Variable.get("tiktok_accounts", default=["tiktok_default"], deserialize_json=True)
        accounts = [check_health(conn_id) for conn_id in conn_ids]
        if any(account.state == "unknown" for account in accounts):
            raise AirflowException(describe([account for account in accounts if account.problem]))
        return [asdict(account) for account in accounts]

    @task
    def warn_of_ends(accounts: list[dict[str, Any]]) -> str:
        """Name the accounts that end within 30 days."""
        ending = [Health(**account) for account in accounts if account["state"] == "expiring"]
        if not ending:
            raise AirflowSkipException("No account ends within 30 days.")
        return describe(ending)

    @task
    def name_the_dead(accounts: list[dict[str, Any]]) -> None:
        """Fail if a person is needed; a retry would not help."""
        if dead := [Health(**account) for account in accounts if account["state"] == "dead"]:
            raise AirflowFailException(describe(dead))

    checked = check_accounts()
    warn_of_ends(checked)  # type: ignore[arg-type]
    name_the_dead(checked)  # type: ignore[arg-type]
