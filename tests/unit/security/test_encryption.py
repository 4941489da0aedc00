"""What is encrypted with a client secret, and the keys that are derived from it."""

import pytest

from tiktok_provider.security.encryption import Purpose, decrypt, derived_key, encrypt

URL = "https://open-upload.tiktokapis.com/video/?upload_id=1&upload_token=fake"


@pytest.mark.parametrize("purpose", list(Purpose))
def test_what_is_encrypted_can_be_read_with_the_same_secret_alone(purpose: Purpose) -> None:
    encrypted = encrypt("fake-secret", URL, purpose)
    assert "upload_token=" not in encrypted
    assert decrypt("fake-secret", encrypted, purpose) == URL
    assert decrypt("another-secret", encrypted, purpose) is None
    assert decrypt("fake-secret", "not encrypted", purpose) is None


def test_what_is_encrypted_for_one_purpose_is_worth_nothing_for_another() -> None:
    encrypted = encrypt("fake-secret", URL, Purpose.UPLOAD_URL)
    assert decrypt("fake-secret", encrypted, Purpose.ACCESS_TOKEN) is None
    assert len({derived_key("fake-secret", purpose) for purpose in Purpose}) == len(Purpose)


def test_a_key_has_32_bytes_however_short_the_secret_is() -> None:
    assert {len(derived_key(secret, Purpose.STORE_REQUEST)) for secret in ("x", "x" * 99)} == {32}


def test_blanks_around_a_secret_do_not_count() -> None:
    assert decrypt(" fake-secret\n", encrypt("fake-secret", URL)) == URL


def test_the_same_text_never_looks_the_same() -> None:
    assert encrypt("fake-secret", URL) != encrypt("fake-secret", URL)
