"""Upload URLs are stored so that only who knows the client secret can read them."""

from tiktok_provider.security.encryption import decrypt, encrypt

URL = "https://open-upload.tiktokapis.com/video/?upload_id=1&upload_token=fake"


def test_what_is_sealed_can_be_read_with_the_same_secret_alone() -> None:
    sealed = encrypt("fake-secret", URL)
    assert "upload_token=" not in sealed
    assert decrypt("fake-secret", sealed) == URL
    assert decrypt("another-secret", sealed) is None
    assert decrypt("fake-secret", "not sealed") is None


def test_the_same_text_never_looks_the_same() -> None:
    assert encrypt("fake-secret", URL) != encrypt("fake-secret", URL)
