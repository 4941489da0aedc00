"""Every endpoint against the sandbox, by both drivers."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.unit.conftest import Creator
from tiktok_provider.api import accounts, oauth, posting, videos
from tiktok_provider.api.calls import Call, parse
from tiktok_provider.api.chunks import plan_chunks
from tiktok_provider.api.drivers import AsyncDriver, SyncDriver
from tiktok_provider.exceptions import ApiError, AuthorizationError, InvalidRequestError, OAuthError

T = TypeVar("T")
Run = Callable[[Call[T]], T]
POST = posting.VideoPost(privacy_level="SELF_ONLY", title="Grüße 🎬")


def no_check() -> None:
    """Nothing speaks against the init."""


@pytest.fixture(params=["sync", "async"])
def run(request: pytest.FixtureRequest, creator: Creator) -> Run[Any]:
    """Run a call by one of the drivers."""
    token, base_url = creator.connection["extra"]["access_token"], creator.sandbox.url

    def run_sync(call: Call[T]) -> T:
        with httpx.Client(base_url=base_url) as client:
            return SyncDriver(client, lambda rejected: None if rejected else token).run(call)

    async def the_token(rejected: str | None) -> str | None:
        return None if rejected else str(token)

    async def drive(call: Call[T]) -> T:
        async with httpx.AsyncClient(base_url=base_url) as client:
            return await AsyncDriver(client, the_token).run(call)

    return run_sync if request.param == "sync" else lambda call: asyncio.run(drive(call))


def test_creator_info_tells_what_the_creator_offers(run: Run[Any]) -> None:
    info: accounts.CreatorInfo = run(accounts.creator_info())
    assert (info.creator_username, info.creator_nickname) == ("mia", "Mia of Milan")
    assert "PUBLIC_TO_EVERYONE" in info.privacy_level_options
    assert info.max_video_post_duration_sec == 600


def test_user_info_has_the_fields_that_were_asked_for(run: Run[Any], creator: Creator) -> None:
    user: accounts.UserInfo = run(accounts.user_info(["open_id", "username"]))
    assert (user.open_id, user.username, user.display_name) == (creator.open_id, "mia", None)


def test_a_video_init_gives_a_publish_id_and_an_upload_url(run: Run[Any]) -> None:
    started: posting.Started = run(posting.init_video(POST, posting.file_source(plan_chunks(1000)), no_check))
    assert started.publish_id
    assert started.upload_url
    assert started.upload_url not in repr(started)
    status: posting.PostStatus = run(posting.fetch_status(started.publish_id))
    assert (status.status, status.post_ids) == ("PROCESSING_UPLOAD", ())


def test_a_draft_init_gives_an_upload_url_too(run: Run[Any]) -> None:
    started: posting.Started = run(posting.init_inbox_video(posting.file_source(plan_chunks(1000)), no_check))
    assert started.upload_url


@pytest.mark.parametrize(
    "init",
    [
        lambda check: posting.init_video(POST, posting.file_source(plan_chunks(1000)), check),
        lambda check: posting.init_inbox_video(posting.file_source(plan_chunks(1000)), check),
        lambda check: posting.init_photos(
            posting.PhotoPost(privacy_level="SELF_ONLY"), posting.photo_source([]), check, direct=False
        ),
    ],
    ids=["direct video", "video draft", "photos"],
)
def test_an_init_whose_check_fails_does_not_leave(
    run: Run[Any], creator: Creator, init: Callable[[Callable[[], None]], Call[posting.Started]]
) -> None:
    def check() -> None:
        raise PermissionError("another try has the claim")

    with pytest.raises(PermissionError):
        run(init(check))
    assert creator.calls("/v2/post/") == []


@pytest.mark.parametrize("direct", [True, False])
def test_photos_are_pulled_so_there_is_no_upload_url(run: Run[Any], creator: Creator, direct: bool) -> None:
    urls = [f"{creator.sandbox.url}/missing/1.jpg"]
    post = posting.PhotoPost(privacy_level="SELF_ONLY", title="t", description="d")
    started: posting.Started = run(
        posting.init_photos(post, posting.photo_source(urls), no_check, direct=direct)
    )
    assert (bool(started.publish_id), started.upload_url) == (True, None)


def test_a_cancel_that_comes_too_late_is_refused_with_its_code(run: Run[Any]) -> None:
    started: posting.Started = run(posting.init_video(POST, posting.file_source(plan_chunks(1000)), no_check))
    with pytest.raises(ApiError) as refusal:
        run(posting.cancel(started.publish_id))
    assert refusal.value.code == "publish_not_cancellable"


def test_a_token_that_was_revoked_is_an_authorization_error_with_a_log_id(
    run: Run[Any], creator: Creator
) -> None:
    connection = creator.connection
    run(oauth.revoke(connection["login"], connection["password"], connection["extra"]["access_token"]))
    with pytest.raises(AuthorizationError) as refusal:
        run(accounts.creator_info())
    assert (refusal.value.code, refusal.value.http_status) == ("access_token_invalid", 401)
    assert refusal.value.log_id in str(refusal.value)
    assert refusal.value.log_id


def test_an_unknown_publish_id_is_an_invalid_request(run: Run[Any]) -> None:
    with pytest.raises(InvalidRequestError) as refusal:
        run(posting.fetch_status("v_pub_file~v2-1.1"))
    assert refusal.value.code == "invalid_publish_id"


def test_the_list_of_videos_starts_empty(run: Run[Any]) -> None:
    page: videos.VideoPage = run(videos.list_videos())
    assert (page.videos, page.has_more) == ((), False)
    assert run(videos.query_videos(["7000000000000000001"])) == ()


def test_a_code_from_the_consent_page_becomes_tokens_and_those_become_newer_ones(
    run: Run[Any], creator: Creator
) -> None:
    redirect_uri = "http://127.0.0.1:8000/callback/"
    app = creator.sandbox.create_app(platform="desktop", redirect_uris=[redirect_uri])
    verifier = oauth.new_code_verifier()
    page = oauth.authorize_url(
        app.client_key,
        redirect_uri,
        ["video.publish"],
        state="s1",
        verifier=verifier,
        page=creator.connection["extra"]["authorize_url"],
    )
    answer = _consent(page)
    assert answer["state"] == ["s1"]
    tokens: oauth.TokenResponse = run(
        oauth.exchange_code(app.client_key, app.client_secret, answer["code"][0], redirect_uri, verifier)
    )
    assert tokens.open_id
    assert "video.publish" in tokens.scope
    assert tokens.access_token not in repr(tokens)
    newer: oauth.TokenResponse = run(
        oauth.refresh_tokens(app.client_key, app.client_secret, tokens.refresh_token)
    )
    assert newer.refresh_token != tokens.refresh_token
    assert newer.open_id == tokens.open_id


@pytest.mark.parametrize("status", [400, 200])
def test_a_dead_refresh_token_is_an_invalid_grant_with_whatever_http_status(
    run: Run[Any], creator: Creator, status: int
) -> None:
    creator.sandbox.set_switches(oauth_error_status=status)
    connection = creator.connection
    with pytest.raises(OAuthError) as refusal:
        run(oauth.refresh_tokens(connection["login"], connection["password"], "rft.not-there"))
    assert refusal.value.code == "invalid_grant"


def test_nulls_in_an_answer_count_as_left_out() -> None:
    nulls = dict.fromkeys(["fail_reason", "publicaly_available_post_id", "uploaded_bytes"])
    status = parse(posting.PostStatus, {"status": "PUBLISH_COMPLETE", **nulls})
    assert (status.fail_reason, status.post_ids, status.uploaded_bytes) == ("", (), None)


def test_the_challenge_is_hex_as_tiktok_wants_it() -> None:
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    assert (
        oauth.code_challenge(verifier) == "13d31e961a1ad8ec2f16b10c4c982e0876a878ad6df144566ee1894acb70f9c3"
    )
    assert 43 <= len(oauth.new_code_verifier()) <= 128


def _consent(page: str) -> dict[str, list[str]]:
    """Approve on the consent page as a browser would, and return what the redirect carries."""
    form = {"account": "mia", "decision": "approve", "scope": ["user.info.basic", "video.publish"]}
    answer = httpx.post(page, data=form)
    return parse_qs(urlsplit(answer.headers["location"]).query)


NO_IDS: list[object] = [{}, [None], [7.3e18], "", ["soon"], [True], [[7]], [{"id": 7}], 0, [0], [-1]]


@pytest.mark.parametrize(
    ("said", "ids"),
    [
        ([7_300_000_000_000_000_001], ("7300000000000000001",)),
        (["7300000000000000001", None], ("7300000000000000001",)),
        ("7300000000000000001", ("7300000000000000001",)),
        *((odd, ()) for odd in NO_IDS),
    ],
)
def test_a_success_counts_whatever_is_said_of_its_id(said: object, ids: tuple[str, ...]) -> None:
    answer = {"status": "PUBLISH_COMPLETE", "publicaly_available_post_id": said}
    status = parse(posting.PostStatus, answer)
    assert (status.status, status.post_ids) == ("PUBLISH_COMPLETE", ids)


@pytest.mark.parametrize("odd", ["abc", "", 1.5, -1, {}, [], True])
def test_odd_words_about_the_progress_and_the_reason_spoil_no_status(odd: object) -> None:
    answer = {"status": "FAILED", "uploaded_bytes": odd, "downloaded_bytes": odd, "fail_reason": [odd]}
    status = parse(posting.PostStatus, answer)
    assert (status.uploaded_bytes, status.downloaded_bytes, status.fail_reason) == (None, None, "")
