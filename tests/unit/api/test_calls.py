"""What single answers of TikTok mean."""

import json

import pytest

from tiktok_provider.api.calls import Answer, token_is_rejected

REJECTED = json.dumps({"data": {}, "error": {"code": "access_token_invalid", "message": "", "log_id": "l"}})


@pytest.mark.parametrize(
    ("status", "content", "rejected"),
    [
        (401, REJECTED, True),
        (401, REJECTED.replace("access_token_invalid", "scope_not_authorized"), False),
        (401, "", False),
        *((status, REJECTED, False) for status in (200, 400, 403, 429, 500, 503)),
    ],
)
def test_a_token_is_rejected_by_a_401_that_names_it_alone(status: int, content: str, rejected: bool) -> None:
    assert token_is_rejected(Answer(status, {}, content.encode())) is rejected
