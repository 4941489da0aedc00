"""Is the platform ready? These checks are about no single account."""

import ssl
from importlib.metadata import PackageNotFoundError, version

import httpx

from tiktok_provider import __version__
from tiktok_provider.api.calls import Answer
from tiktok_provider.api.drivers import TIMEOUT
from tiktok_provider.doctor.checks import Check, CheckWarningError
from tiktok_provider.exceptions import ConnectionSettingsError, UnexpectedAnswerError, UnreachableError
from tiktok_provider.store.address import ADDRESS_SOURCE, store_address, tls_context
from tiktok_provider.store.connection import host_policy
from tiktok_provider.store.requests import ACCOUNTS, MOUNT, GetTokens, adapter
from tiktok_provider.store.serialization import decode
from tiktok_provider.store.signing import RequestNotAuthenticatedError

_DISTRIBUTION = "airflow-provider-tiktok"


def package(_: None) -> str:
    """Is the package installed here, so that Airflow knows its connection type and settings?"""
    try:
        installed = version(_DISTRIBUTION)
    except PackageNotFoundError:
        raise CheckWarningError(
            f"The package runs from a folder ({__version__}) and is not installed here.\nAirflow knows neither the"
            f" connection form nor the defaults of [tiktok]. Install {_DISTRIBUTION} with pip."
        ) from None
    return f"{_DISTRIBUTION} {installed}"


def api_server(_: None) -> str:
    """Does an API server with the plugin answer? Without a token the store refuses, which is the answer wanted."""
    address, tls = store_address(), _tls()
    try:
        response = httpx.post(
            f"{address}{MOUNT}{ACCOUNTS}/doctor/{GetTokens.route}", json={}, verify=tls, timeout=TIMEOUT
        )
    except httpx.InvalidURL:
        raise ConnectionSettingsError(
            f"{address!r} is no address of an API server.\n{ADDRESS_SOURCE}"
        ) from None
    except httpx.RequestError as error:
        raise UnreachableError(
            f"Airflow's API server cannot be reached: {address}\n({type(error).__name__}) {ADDRESS_SOURCE}",
            maybe_processed=False,
        ) from None
    try:
        decode(Answer(response.status_code, response.headers, response.content), adapter(GetTokens.answer))
    except RequestNotAuthenticatedError:
        return f"The store answers at {address}."
    raise UnexpectedAnswerError(f"Something that is not the store answers at {address}{MOUNT}.")


def _tls() -> ssl.SSLContext:
    try:
        return tls_context()
    except OSError as error:
        raise ConnectionSettingsError(
            f"The certificates for Airflow's API server cannot be read ({type(error).__name__}).\nTheir files are"
            " [api] ssl_ca_file, ssl_cert, client_ssl_cert and client_ssl_key."
        ) from None


def allowed_hosts(_: None) -> str:
    """Can [tiktok] allowed_hosts be read?"""
    allowed = host_policy().allowed
    return f"Besides TikTok's own: {', '.join(sorted(allowed)) or 'none'}."


PACKAGE = Check("package", package)
API_SERVER = Check("API server", api_server)
ALLOWED_HOSTS = Check("allowed hosts", allowed_hosts)
