"""Which redirect URIs TikTok takes."""

import pytest

from tiktok_provider.api.redirect_uri import platform_of, port_of, with_port
from tiktok_provider.exceptions import InvalidInputError


@pytest.mark.parametrize(
    ("uri", "platform"),
    [
        ("http://127.0.0.1:*/callback/", "desktop"),
        ("http://localhost:8400/callback/", "desktop"),
        ("https://localhost:8400", "desktop"),
        ("https://airflow.example.com/tiktok/callback", "web"),
        ("https://airflow.example.com:8443/tiktok/callback", "web"),
        ("https://airflow.example.com/" + "a" * 483, "web"),
    ],
)
def test_what_tiktok_takes_names_the_kind_of_app(uri: str, platform: str) -> None:
    assert platform_of(uri) == platform


@pytest.mark.parametrize(
    ("uri", "violations"),
    [
        ("http://airflow.example.com/callback", ["must begin with https://"]),
        ("http://airflow/callback", ["must begin with https://", "must name a public host"]),
        ("https://10.0.0.5/callback", ["must name a public host"]),
        ("https://127.0.0.2/callback", ["must name a public host"]),
        ("https://[::1]:8400/callback", ["must name a public host"]),
        ("http://127.0.0.1/callback/", ["must name a port, or * for any: http://127.0.0.1:*/callback/"]),
        ("ftp://127.0.0.1/callback/", ["must begin with http", "must name a port"]),
        ("https://airflow.example.com:*/callback", ["has a *"]),
        ("https://*.example.com/callback", ["has a *"]),
        ("https://airflow.example.com/?next=1", ["has a query"]),
        ("http://127.0.0.1:*/callback/#top", ["has a query or a fragment"]),
        ("https://airflow.example.com/" + "a" * 484, ["has 512 characters"]),
        ("https://user@airflow.example.com/", ["must be of the form"]),
        ("127.0.0.1:8400", ["must be of the form"]),
        ("https://airflow.example.com:99999/", ["must be of the form"]),
        ("", ["must be of the form"]),
    ],
)
def test_what_tiktok_refuses_is_named(uri: str, violations: list[str]) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        platform_of(uri)
    assert len(refusal.value.violations) == len(violations)
    assert all(wanted in found for wanted, found in zip(violations, refusal.value.violations, strict=True))


def test_a_star_takes_a_port() -> None:
    assert port_of("http://127.0.0.1:*/callback/") is None
    assert port_of("http://127.0.0.1:8400/callback/") == 8400
    assert with_port("http://127.0.0.1:*/callback/", 8401) == "http://127.0.0.1:8401/callback/"
    assert with_port("http://127.0.0.1:8400/callback/", 8401) == "http://127.0.0.1:8400/callback/"
