"""Keys that every reader of a Connection can derive from its client secret, and what is encrypted with them.

Each purpose has a key of its own, so that what was made for one is worth nothing for another.
"""

import base64
from enum import StrEnum

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


class Purpose(StrEnum):
    """What a derived key is for."""

    UPLOAD_URL = "upload URL"
    ACCESS_TOKEN = "access token"
    STORE_REQUEST = "store request"


def derived_key(client_secret: str, purpose: Purpose) -> bytes:
    """Return 32 bytes, however short the client secret is; blanks around it do not count."""
    info = f"tiktok_provider {purpose}".encode()
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(client_secret.strip().encode())


def encrypt(client_secret: str, text: str, purpose: Purpose = Purpose.UPLOAD_URL) -> str:
    """Encrypt a text so that only a reader of the Connection can decrypt it."""
    return _fernet(client_secret, purpose).encrypt(text.encode()).decode()


def decrypt(client_secret: str, encrypted: str, purpose: Purpose = Purpose.UPLOAD_URL) -> str | None:
    """Return the text; None if it was encrypted with another client secret or for another purpose."""
    try:
        return _fernet(client_secret, purpose).decrypt(encrypted.encode()).decode()
    except InvalidToken:
        return None


def _fernet(client_secret: str, purpose: Purpose) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(derived_key(client_secret, purpose)))
