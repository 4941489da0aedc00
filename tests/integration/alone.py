"""An Airflow without processes of its own: ``dag.test()``, as people try their DAGs."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tiktok_sandbox.client import Account, App, Sandbox, Tokens

NOTHING: Mapping[str, str] = MappingProxyType({})
DAGS = Path(__file__).parent / "dags"


def connection_fields(sandbox: Sandbox, app: App, account: Account, tokens: Tokens) -> dict[str, str]:
    """Return the fields of a connection of type tiktok with initial tokens."""
    extra = {
        "access_token": tokens.access_token,
        "refresh_token": tokens.refresh_token,
        "access_expires_at": tokens.access_expires_at,
        "refresh_expires_at": tokens.refresh_expires_at,
        "open_id": tokens.open_id,
        "scope": tokens.scope,
        "username": account.username,
        "authorize_url": f"{sandbox.url}/v2/auth/authorize/",
    }
    return {
        "conn_type": "tiktok",
        "login": app.client_key,
        "password": app.client_secret,
        "host": sandbox.url,
        "extra": json.dumps(extra),
    }


def run_alone(
    script: str,
    sandbox: Sandbox,
    home: Path,
    *arguments: str,
    dags: Path = DAGS,
    allowed_hosts: str = "",
    extra: Mapping[str, str] = NOTHING,
) -> Any:
    """Run a script beside a new metadata database and a connected creator; return its last line, which is JSON.

    :param script: gets the folder of the DAGs and the arguments in ``sys.argv``.
    :param allowed_hosts: besides the sandbox.
    :param extra: more fields of the connection's extra.
    :param dags: the folder of the DAGs. Default: that of the integration tests.
    """
    app, account = sandbox.create_app(), sandbox.create_account(username="tester")
    fields = connection_fields(sandbox, app, account, sandbox.issue_tokens(app, account))
    fields["extra"] = json.dumps({**json.loads(fields["extra"]), **extra})
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")},
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__TIKTOK__ALLOWED_HOSTS": f"{sandbox.url} {allowed_hosts}",
        "AIRFLOW_CONN_TIKTOK_DEFAULT": json.dumps(fields),
    }
    migrate = [sys.executable, "-m", "airflow", "db", "migrate"]
    subprocess.run(migrate, env=environment, check=True, capture_output=True)
    command = [sys.executable, "-c", script, str(dags), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
