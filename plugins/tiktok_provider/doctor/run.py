"""Which checks run where, in which order."""

from collections.abc import Sequence

from tiktok_provider.doctor.account_checks import AT_TIKTOK, CONNECTION, REDIRECT_URI, ExaminedAccount
from tiktok_provider.doctor.checks import Finding, examine
from tiktok_provider.doctor.cluster_checks import RESULT_BACKEND, SHARED_SECRETS, VISIBILITY_TIMEOUT
from tiktok_provider.doctor.platform_checks import ALLOWED_HOSTS, API_SERVER, PACKAGE


def examine_installation(conn_ids: Sequence[str], redirect_uri: str) -> list[Finding]:
    """Run all checks, where Airflow's database is at hand.

    :param conn_ids: of the accounts to check.
    :param redirect_uri: as registered at TikTok.
    """
    # Its tables belong to the processes that have a database.
    from tiktok_provider.doctor.database_checks import CLOCKS, FERNET_KEY, TABLES, TRIGGERER

    here = (
        PACKAGE,
        API_SERVER,
        TABLES,
        CLOCKS,
        FERNET_KEY,
        ALLOWED_HOSTS,
        SHARED_SECRETS,
        VISIBILITY_TIMEOUT,
    )
    findings = list(examine(here, None))
    platform = tuple(findings)
    for conn_id in conn_ids:
        with ExaminedAccount(conn_id, redirect_uri) as account:
            findings += examine((CONNECTION, REDIRECT_URI, *AT_TIKTOK), account, conn_id, platform)
    return [*findings, *examine((TRIGGERER,), None)]


def examine_process(conn_id: str) -> list[Finding]:
    """Run the checks that make sense from a worker or a triggerer: package, connection, the servers in reach."""
    findings = list(examine((PACKAGE, API_SERVER, ALLOWED_HOSTS, RESULT_BACKEND), None))
    with ExaminedAccount(conn_id) as account:
        return [*findings, *examine((CONNECTION, *AT_TIKTOK), account, conn_id, findings)]
