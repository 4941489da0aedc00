"""Upload URLs are secrets that a later try needs: they are stored sealed, with a key that every reader of the
Connection can derive and nobody else.
"""

import base64

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_PURPOSE = b"tiktok_provider upload URL"


def encrypt(client_secret: str, text: str) -> str:
    """Encrypt a text so that only who knows the client secret can read it."""
    return _fernet(client_secret).encrypt(text.encode()).decode()


def decrypt(client_secret: str, sealed: str) -> str | None:
    """Return the text, or None if it was sealed with another client secret: then it is as good as expired."""
    try:
        return _fernet(client_secret).decrypt(sealed.encode()).decode()
    except InvalidToken:
        return None


def _fernet(client_secret: str) -> Fernet:
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(client_secret.encode())
    return Fernet(base64.urlsafe_b64encode(key))
