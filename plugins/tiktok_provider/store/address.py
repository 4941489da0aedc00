"""Where the store is, seen from this process."""

import os
import ssl
import sys
from functools import cache

import certifi
from airflow.sdk.configuration import conf

DEFAULT_ADDRESS = "http://localhost:8080"
# For errors: where the address comes from.
ADDRESS_SOURCE = (
    "The address is [tiktok] store_url, else that of [core] execution_api_server_url, else [api] base_url."
)


def store_is_in_process() -> bool:
    """Return whether this process has Airflow's database and no API server to ask.

    So it is in the CLI and in ``dag.test()``, which runs tasks and triggers below a supervisor of its own kind
    in the same process. Workers, triggerers and all others that Airflow keeps away from its database ask over HTTP.
    """
    # A process below a supervisor has imported these modules already; no other one should pay for them.
    runner = sys.modules.get("airflow.sdk.execution_time.task_runner")
    supervisor = sys.modules.get("airflow.sdk.execution_time.supervisor")
    comms = getattr(runner, "SUPERVISOR_COMMS", None)
    if comms is not None:
        return supervisor is not None and isinstance(comms, supervisor.InProcessSupervisorComms)
    # Airflow puts this in the place of the address of its database.
    database = os.environ.get("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "")
    return not database.startswith("airflow-db-not-allowed")


def store_address() -> str:
    """Return the API server's address without a slash at the end, as workers and triggerers reach it.

    The first that is set of ``[tiktok] store_url``, ``[core] execution_api_server_url`` without ``/execution/``,
    ``[api] base_url``; else ``http://localhost:8080``, Airflow's own assumption.
    """
    if store_url := _address("tiktok", "store_url"):
        return store_url
    if execution_url := _address("core", "execution_api_server_url"):
        return execution_url.removesuffix("/execution")
    base_url = _address("api", "base_url")
    return base_url if "://" in base_url else DEFAULT_ADDRESS + base_url


def _address(section: str, option: str) -> str:
    return str(conf.get(section, option, fallback="") or "").rstrip("/")


@cache
def tls_context() -> ssl.SSLContext:
    """Return what Airflow's own clients of the API server trust and show; see section ``[api]``."""
    context = ssl.create_default_context(cafile=conf.get("api", "ssl_ca_file", fallback=None) or None)
    if conf.getboolean("api", "client_use_public_certs", fallback=True):
        context.load_verify_locations(certifi.where())
    if certificate := conf.get("api", "ssl_cert", fallback=""):
        context.load_verify_locations(certificate)
    if certificate := conf.get("api", "client_ssl_cert", fallback=""):
        context.load_cert_chain(certificate, conf.get("api", "client_ssl_key", fallback=None))
    return context
