"""Whatever TikTok repeats of what it was sent, the error does not."""

import asyncio
import json
from collections.abc import Callable
from urllib.parse import quote, urlencode

import pytest

from tests.unit.conftest import Creator
from tiktok_provider.api.accounts import creator_info
from tiktok_provider.error_table import api_error, oauth_error
from tiktok_provider.exceptions import ApiError
from tiktok_provider.hooks.tiktok import TikTokHook
from tiktok_provider.security.redaction import redact

SECRET = 'fake/"+&%?=\\ é~secret'


@pytest.mark.parametrize(
    "written",
    [
        str,
        repr,
        json.dumps,
        quote,
        lambda secret: quote(secret, safe=""),
        lambda secret: urlencode({"s": secret}),
    ],
    ids=["plain", "Python", "JSON", "path", "URL", "form"],
)
def test_a_secret_is_taken_out_of_an_error_however_it_was_written(written: Callable[[str], str]) -> None:
    error = oauth_error("invalid_grant", 400, detail=f"bad {written(SECRET)} indeed")
    redact(error, SECRET, "")
    assert written(SECRET).strip("\"'") not in str(error) + error.detail
    assert "***" in str(error)
    assert error.detail.startswith("bad ")
    assert error.detail.endswith(" indeed")


def test_an_error_that_repeats_no_secret_stays_as_it_is() -> None:
    error = api_error("invalid_params", 400, detail="title is too long")
    told = str(error)
    redact(error, SECRET)
    assert (str(error), error.detail) == (told, "title is too long")


def refuse_and_repeat(creator: Creator) -> str:
    """Let TikTok repeat the access token; return it."""
    token = str(creator.connection["extra"]["access_token"])
    error = {"code": "invalid_params", "message": f"not with Bearer {token}", "log_id": "fake"}
    path = "/v2/post/publish/creator_info/query/"
    creator.sandbox.add_fault("status", status=400, body={"data": {}, "error": error}, path=path)
    return token


def test_an_access_token_that_tiktok_repeats_is_not_in_the_hooks_error(
    creator: Creator, hook: TikTokHook
) -> None:
    token = refuse_and_repeat(creator)
    with pytest.raises(ApiError, match=r"Bearer \*\*\*") as caught:
        hook.creator_info()
    assert token not in str(caught.value) + caught.value.detail


def test_an_access_token_that_tiktok_repeats_is_not_in_the_asynchronous_error(
    creator: Creator, hook: TikTokHook
) -> None:
    token = refuse_and_repeat(creator)

    async def ask() -> None:
        async with hook.async_session() as session:
            await session.run(creator_info())

    with pytest.raises(ApiError, match=r"Bearer \*\*\*") as caught:
        asyncio.run(ask())
    assert token not in str(caught.value) + caught.value.detail
