"""Only TikTok's hosts and those that the platform allows are spoken to."""

import pytest

from tiktok_provider.api.hosts import HostPolicy
from tiktok_provider.exceptions import HostNotAllowedError

TIKTOK_ALONE = HostPolicy()


@pytest.mark.parametrize(
    "url",
    [
        "https://open-upload.tiktokapis.com/video/?upload_id=1",
        "https://upload.us.tiktokapis.com/video/",
        "https://open-upload-va.tiktokapis.com:443/upload?x=1",
        "https://open-upload.tiktokapis.us/upload/",
    ],
)
def test_upload_urls_of_tiktok_are_taken(url: str) -> None:
    assert TIKTOK_ALONE.check_upload(url) == url


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("http://open-upload.tiktokapis.com/", id="not encrypted"),
        pytest.param("https://open-upload.tiktokapis.com:8443/", id="another port"),
        pytest.param("https://tiktokapis.com.evil.example/", id="domain as a prefix"),
        pytest.param("https://eviltiktokapis.com/", id="domain as a suffix without a dot"),
        pytest.param("https://open-upload.tiktokapis.com@evil.example/", id="TikTok as a user name"),
        pytest.param("https://me@open-upload.tiktokapis.de/", id="another top-level domain"),
        pytest.param("https://169.254.169.254/latest/", id="an address inside a cloud"),
        pytest.param("ftp://open-upload.tiktokapis.com/", id="another scheme"),
        pytest.param("", id="nothing"),
    ],
)
def test_upload_urls_that_lead_elsewhere_are_refused(url: str) -> None:
    with pytest.raises(HostNotAllowedError):
        TIKTOK_ALONE.check_upload(url)


def test_a_connection_may_not_choose_a_host_of_its_own() -> None:
    with pytest.raises(HostNotAllowedError) as refusal:
        TIKTOK_ALONE.check_api("https://api.evil.example/steal?x=1", "host")
    assert "[tiktok] allowed_hosts = https://api.evil.example" in str(refusal.value)


def test_what_the_platform_allows_is_taken_for_api_consent_and_uploads() -> None:
    policy = HostPolicy.parse("http://127.0.0.1:9080, https://mirror.example")
    url = "http://127.0.0.1:9080/x"
    assert {policy.check_api(url, "host"), policy.check_consent(url, "page"), policy.check_upload(url)} == {
        url
    }
    assert policy.check_api("https://mirror.example:443/", "host") == "https://mirror.example:443/"


@pytest.mark.parametrize("url", ["https://127.0.0.1:9080", "http://127.0.0.1:9081", "http://127.0.0.1"])
def test_an_allowed_host_is_allowed_with_its_scheme_and_port_only(url: str) -> None:
    with pytest.raises(HostNotAllowedError):
        HostPolicy.parse("http://127.0.0.1:9080").check_api(url, "host")


def test_tiktoks_own_api_and_consent_hosts_need_no_setting() -> None:
    assert TIKTOK_ALONE.check_api("https://open.tiktokapis.com", "host")
    assert TIKTOK_ALONE.check_consent("https://www.tiktok.com/v2/auth/authorize/", "page")


@pytest.mark.parametrize("url", ["https://[::1", "https://host:abc", "localhost:9080", "ftp://host"])
def test_what_is_no_origin_is_refused_with_the_field_it_stands_in(url: str) -> None:
    with pytest.raises(HostNotAllowedError, match=r"^A URL is .*, it must be https://host(?s:.)*It is host"):
        TIKTOK_ALONE.check_api(url, "host")


def test_credentials_in_a_url_are_refused_and_not_repeated() -> None:
    with pytest.raises(HostNotAllowedError) as refusal:
        TIKTOK_ALONE.check_api("https://me:pass@open.tiktokapis.com", "host")
    assert "pass" not in str(refusal.value)


def test_a_setting_that_is_no_origin_is_refused_at_once() -> None:
    with pytest.raises(HostNotAllowedError, match=r"\[tiktok\] allowed_hosts"):
        HostPolicy.parse("localhost:9080")
