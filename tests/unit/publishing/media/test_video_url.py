"""What TikTok would not pull from is refused before anything is sent."""

import pytest

from tiktok_provider.api.hosts import HostPolicy
from tiktok_provider.publishing.media.video_url import VideoUrl

GOOD = "https://media.example.com/spring/clip.mp4?signature=fake"


def violations(url: str, allowed: str = "") -> list[str]:
    return [str(violation) for violation in VideoUrl(url).violations(HostPolicy.parse(allowed))]


def test_a_https_url_of_a_domain_is_taken() -> None:
    assert violations(GOOD) == []


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://media.example.com/clip.mp4", "it begins with http, not https"),
        ("clip.mp4", "it has no host"),
        ("https://192.0.2.7/clip.mp4", "its host is no domain name"),
        ("https://[2001:db8::7]/clip.mp4", "its host is no domain name"),
        ("https://intranet/clip.mp4", "its host is no domain name"),
        ("https://user:fake@media.example.com/clip.mp4", "it carries credentials"),
        ("https://media.example.com/a/../clip.mp4", "its path contains '..'"),
        ("https://media.example.com:port/clip.mp4", "it has no host"),
    ],
)
def test_any_other_is_refused_with_the_rule(url: str, problem: str) -> None:
    [violation] = violations(url)
    assert problem in violation
    assert "verified in TikTok's developer portal" in violation
    assert "fake" not in violation


def test_what_the_platform_allows_is_taken_as_it_is() -> None:
    assert violations("http://127.0.0.1:9080/clip.mp4", allowed="http://127.0.0.1:9080") == []


def test_a_new_signature_is_no_new_video() -> None:
    assert VideoUrl(GOOD).fingerprint == VideoUrl(GOOD.replace("fake", "other")).fingerprint
    assert VideoUrl(GOOD).fingerprint != VideoUrl(GOOD.replace("clip", "clap")).fingerprint
    assert "signature" not in VideoUrl(GOOD).fingerprint + repr(VideoUrl(GOOD))


@pytest.mark.parametrize(
    "url", ["https://[broken", "https://media.example.com:x/a.mp4", "", "\0", "https://"]
)
def test_what_is_no_url_is_a_violation_and_never_an_exception(url: str) -> None:
    video = VideoUrl(url)
    assert len(list(video.violations(HostPolicy.parse("")))) == 1
    assert video.secrets[0] == url
    assert video.fingerprint


@pytest.mark.parametrize(
    "url", ["https://media.example.com/a b.mp4", "https://media.example.com/a\nb.mp4", "https://m.example/\0"]
)
def test_a_blank_or_a_control_character_in_a_url_is_named(url: str) -> None:
    [violation] = VideoUrl(url).violations(HostPolicy.parse(""))
    assert "it holds a blank or a control character" in str(violation)
