"""Take out of an error what was sent: it repeats TikTok's own words, which may repeat anything.

Airflow's own masking does not reach everywhere: the log of the scheduler, for one, shows errors as they are.
"""

import json
from urllib.parse import quote, quote_plus

from tiktok_provider.exceptions import ApiError, TikTokError


def redact(error: TikTokError, *secrets: str) -> None:
    """Replace secrets in the texts of an error by asterisks, also as URLs, forms, JSON and Python write them."""
    # Longer forms first: a shorter one may be a part of them.
    forms = sorted(
        {form for secret in filter(None, secrets) for form in _forms(secret)}, key=len, reverse=True
    )
    for form in forms:
        error.args = tuple(
            part.replace(form, "***") if isinstance(part, str) else part for part in error.args
        )
        if isinstance(error, ApiError):
            error.detail = error.detail.replace(form, "***")


def _forms(secret: str) -> set[str]:
    quoted = {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1]}
    return {secret, quote(secret), quote(secret, safe=""), quote_plus(secret), *quoted}
