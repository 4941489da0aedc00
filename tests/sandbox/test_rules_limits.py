"""Fact sheet sections 12 and 4.3: calls per minute, and the caps of 24 hours."""

import itertools
from collections.abc import Callable

import httpx
import pytest

from tests.sandbox.conftest import (
    BARE,
    CREATOR_INFO,
    NOWHERE,
    TOKEN,
    USER_INFO,
    VIDEO_LIST,
    VIDEO_QUERY,
    Creator,
    Json,
    MakeCreator,
    Media,
    assert_error,
    control,
    data_of,
    file_source,
)
from tiktok_sandbox.client import Sandbox

DAY = 86_400
PHOTO = [f"{NOWHERE}/a.jpg"]
Caller = Callable[[Creator], httpx.Response]


def call_status(creator: Creator) -> httpx.Response:
    return creator.status("v_pub_file~v2-1.7000000000000000000")


def call_video_init(creator: Creator) -> httpx.Response:
    return creator.init_video(file_source(1000))


def call_inbox_init(creator: Creator) -> httpx.Response:
    return creator.init_inbox(file_source(1000))


def call_photo_init(creator: Creator) -> httpx.Response:
    return creator.init_photos(PHOTO)


LIMITS: dict[str, tuple[int, Caller]] = {
    "creator_info": (20, lambda creator: creator.post_json(CREATOR_INFO)),
    "video_init": (6, call_video_init),
    "inbox_init": (6, call_inbox_init),
    "photo_init": (6, call_photo_init),
    "status": (30, call_status),
    "user_info": (600, lambda creator: creator.http.get(USER_INFO + "?fields=open_id")),
    "video_list": (600, lambda creator: creator.post_json(VIDEO_LIST + "?fields=id")),
    "video_query": (
        600,
        lambda creator: creator.post_json(VIDEO_QUERY + "?fields=id", {"filters": {"video_ids": ["7"]}}),
    ),
}
INITS = {name: caller for name, (limit, caller) in LIMITS.items() if limit == 6}
every_limit = pytest.mark.parametrize(("limit", "call"), LIMITS.values(), ids=LIMITS.keys())
posting_limits = pytest.mark.parametrize(
    ("limit", "call"),
    [pytest.param(*row, id=name) for name, row in LIMITS.items() if row[0] < 600],
)
DISPLAY = {name: caller for name, (limit, caller) in LIMITS.items() if limit == 600}
display_limits = pytest.mark.parametrize("call", DISPLAY.values(), ids=DISPLAY.keys())


@pytest.fixture
def creator(make_creator: MakeCreator) -> Creator:
    """A creator whom no cap of 24 hours stops before a minute's limit does."""
    made = make_creator()
    made.sandbox.set_switches(caps=False)
    return made


def spend(creator: Creator, call: Caller, times: int) -> None:
    for _ in range(times):
        response = call(creator)
        assert response.json()["error"]["code"] in {"ok", "invalid_publish_id"}, response.text


@posting_limits
def test_one_call_more_than_the_minute_allows_is_refused(creator: Creator, limit: int, call: Caller) -> None:
    spend(creator, call, limit)
    assert_error(call(creator), 429, "rate_limit_exceeded")


@every_limit
def test_the_window_slides(creator: Creator, limit: int, call: Caller) -> None:
    # Few of the 600, which all take their time here.
    early = min(limit // 2, 10)
    spend(creator, call, early)
    creator.sandbox.advance(40)
    spend(creator, call, limit - early)
    creator.sandbox.advance(19)
    assert_error(call(creator), 429, "rate_limit_exceeded")
    creator.sandbox.advance(2)
    # The early ones have left the window. Whether the refused call counts is not known.
    spend(creator, call, early - 1)
    call(creator)
    assert_error(call(creator), 429, "rate_limit_exceeded")


@posting_limits
def test_a_call_leaves_the_window_when_it_is_a_minute_old(creator: Creator, limit: int, call: Caller) -> None:
    creator.sandbox.set_switches(retry_after=True)
    spend(creator, call, limit)
    # The clock of these tests stands still, so that this is the last moment before, and then the first one after.
    creator.sandbox.advance(60 - 0.001)
    assert_error(call(creator), 429, "rate_limit_exceeded")
    creator.sandbox.advance(0.001)
    spend(creator, call, limit)
    assert_error(call(creator), 429, "rate_limit_exceeded")


@posting_limits
def test_a_limit_belongs_to_one_account(
    make_creator: MakeCreator, creator: Creator, limit: int, call: Caller
) -> None:
    spend(creator, call, limit)
    spend(make_creator(app_of=creator), call, 1)


@display_limits
def test_a_display_limit_belongs_to_one_app_and_all_its_creators(
    make_creator: MakeCreator, creator: Creator, call: Caller
) -> None:
    other = make_creator(app_of=creator)
    spend(creator, call, 300)
    spend(other, call, 300)
    for spent in (creator, other):
        assert_error(call(spent), 429, "rate_limit_exceeded")
    spend(make_creator(account_of=creator), call, 1)


@pytest.mark.parametrize("name", ["creator_info", "status", "user_info"])
def test_a_spent_limit_leaves_the_other_endpoints_alone(creator: Creator, name: str) -> None:
    limit, call = LIMITS[name]
    spend(creator, call, limit)
    for other, (_, call_other) in LIMITS.items():
        if other != name:
            spend(creator, call_other, 1)


@posting_limits
def test_without_rate_limits_nothing_is_refused(creator: Creator, limit: int, call: Caller) -> None:
    creator.sandbox.set_switches(rate_limits=False)
    spend(creator, call, limit + 1)


@pytest.mark.parametrize("sent", [False, True])
@posting_limits
def test_retry_after_is_sent_as_the_switch_says(
    creator: Creator, limit: int, call: Caller, sent: bool
) -> None:
    creator.sandbox.set_switches(retry_after=sent)
    spend(creator, call, limit)
    creator.sandbox.advance(20)
    response = call(creator)
    assert response.status_code == 429
    assert ("retry-after" in response.headers) == sent
    if sent:
        assert response.headers["retry-after"] == "40"


@pytest.mark.parametrize("bucket", ["per_endpoint", "shared"])
@pytest.mark.parametrize(("first", "second"), list(itertools.permutations(INITS, 2)))
def test_the_inits_share_a_bucket_as_the_switch_says(
    creator: Creator, first: str, second: str, bucket: str
) -> None:
    creator.sandbox.set_switches(init_bucket=bucket)
    spend(creator, INITS[first], 6)
    if bucket == "shared":
        assert_error(INITS[second](creator), 429, "rate_limit_exceeded")
    else:
        spend(creator, INITS[second], 6)


@pytest.mark.parametrize("survives", [True, False])
def test_a_refreshed_token_has_the_window_that_the_switch_says(
    make_creator: MakeCreator, creator: Creator, survives: bool
) -> None:
    creator.sandbox.set_switches(rate_window_survives_refresh=survives)
    spend(creator, call_status, 30)
    form = {
        "client_key": creator.client_key,
        "client_secret": creator.client_secret,
        "grant_type": "refresh_token",
        "refresh_token": creator.refresh_token,
    }
    token = BARE.post(creator.sandbox.url + TOKEN, data=form).json()["access_token"]
    response = make_creator.client(token).post(
        "/v2/post/publish/status/fetch/", json={"publish_id": "v_pub_file~v2-1.7"}
    )
    assert response.status_code == (429 if survives else 400)


# Caps of 24 hours


def renewed(make_creator: MakeCreator, creator: Creator, app_of: Creator | None = None) -> Creator:
    """The same account with a new token, for another day or another app."""
    return make_creator(app_of=app_of or creator, account_of=creator)


def test_a_creator_posts_fifteen_times_in_24_hours(make_creator: MakeCreator, clip: Media) -> None:
    creator = make_creator()
    for _ in range(15):
        creator.publish(clip)
        creator.sandbox.advance(30)
    assert_error(creator.init_video(clip.source()), 403, "spam_risk_too_many_posts")
    assert_error(creator.init_photos(PHOTO), 403, "spam_risk_too_many_posts")
    assert_error(creator.post_json(CREATOR_INFO), 200, "spam_risk_too_many_posts")
    assert data_of(creator.init_inbox(clip.source()))


def test_the_cap_of_posts_is_the_accounts_own_and_slides(make_creator: MakeCreator, clip: Media) -> None:
    creator = make_creator(account={"daily_post_cap": 2})
    creator.publish(clip)
    creator.sandbox.advance(DAY // 2)
    creator.publish(clip)
    assert_error(creator.init_video(clip.source()), 403, "spam_risk_too_many_posts")
    creator.sandbox.advance(DAY // 2 + 60)
    next_day = renewed(make_creator, creator)
    next_day.publish(clip)
    assert_error(next_day.init_video(clip.source()), 403, "spam_risk_too_many_posts")


def test_the_cap_of_posts_is_shared_by_all_apps(make_creator: MakeCreator, clip: Media) -> None:
    creator = make_creator(account={"daily_post_cap": 1})
    creator.publish(clip)
    through_another = renewed(make_creator, creator, app_of=make_creator())
    assert_error(through_another.init_video(clip.source()), 403, "spam_risk_too_many_posts")


def test_drafts_do_not_count_as_posts(make_creator: MakeCreator, clip: Media) -> None:
    creator = make_creator(account={"daily_post_cap": 1})
    creator.wait_for(creator.send_draft(clip))
    assert data_of(creator.init_video(clip.source()))


def five_drafts(creator: Creator, clip: Media) -> list[str]:
    drafts = [creator.send_draft(clip) for _ in range(5)]
    for draft in drafts:
        assert creator.wait_for(draft)["status"] == "SEND_TO_USER_INBOX"
    creator.sandbox.advance(61)
    return drafts


@pytest.mark.parametrize("switch", ["window", "concurrent"])
def test_the_sixth_pending_draft_is_refused(make_creator: MakeCreator, clip: Media, switch: str) -> None:
    creator = make_creator()
    creator.sandbox.set_switches(pending_drafts=switch)
    five_drafts(creator, clip)
    for response in (creator.init_inbox(clip.source()), creator.init_photos(PHOTO, "MEDIA_UPLOAD")):
        assert_error(response, 403, "spam_risk_too_many_pending_share")
    assert data_of(creator.init_video(clip.source()))


def test_the_drafts_of_another_account_do_not_count(make_creator: MakeCreator, clip: Media) -> None:
    creator = make_creator()
    five_drafts(creator, clip)
    assert data_of(make_creator(app_of=creator).init_inbox(clip.source()))


@pytest.mark.parametrize(("switch", "freed"), [("window", False), ("concurrent", True)])
def test_posting_a_draft_frees_its_place_as_the_switch_says(
    make_creator: MakeCreator, clip: Media, switch: str, freed: bool
) -> None:
    creator = make_creator()
    creator.sandbox.set_switches(pending_drafts=switch)
    draft = five_drafts(creator, clip)[0]
    control(creator.sandbox, "POST", f"/sandbox/publishes/{draft}/finish-draft", {})
    assert (creator.init_inbox(clip.source()).status_code == 200) == freed


@pytest.mark.parametrize(("switch", "freed"), [("window", True), ("concurrent", False)])
def test_a_day_frees_the_places_of_drafts_as_the_switch_says(
    make_creator: MakeCreator, clip: Media, switch: str, freed: bool
) -> None:
    creator = make_creator()
    creator.sandbox.set_switches(pending_drafts=switch)
    five_drafts(creator, clip)
    creator.sandbox.advance(DAY)
    response = renewed(make_creator, creator).init_inbox(clip.source())
    assert (response.status_code == 200) == freed


def test_a_post_counts_for_24_hours_from_its_delivery_on(make_creator: MakeCreator, clip: Media) -> None:
    creator = make_creator(account={"daily_post_cap": 1})
    made = data_of(creator.init_video(clip.source()))
    creator.sandbox.advance(3000)
    creator.upload(made["upload_url"], clip)
    assert creator.wait_for(made["publish_id"])["status"] == "PUBLISH_COMPLETE"
    creator.sandbox.advance(DAY - 1500)
    next_day = renewed(make_creator, creator)
    assert_error(next_day.init_video(clip.source()), 403, "spam_risk_too_many_posts")
    next_day.sandbox.advance(1500)
    assert data_of(next_day.init_video(clip.source()))


def test_a_post_stops_counting_at_the_moment_when_it_is_24_hours_old(
    make_creator: MakeCreator, clip: Media
) -> None:
    creator = make_creator(account={"daily_post_cap": 1})
    delivered_at = creator.record(creator.publish(clip))["delivered_at"]
    creator.sandbox.advance(delivered_at + DAY - creator.sandbox.now() - 0.01)
    next_day = renewed(make_creator, creator)
    assert_error(next_day.init_video(clip.source()), 403, "spam_risk_too_many_posts")
    next_day.sandbox.advance(delivered_at + DAY - creator.sandbox.now())
    assert data_of(next_day.init_video(clip.source()))


def test_a_draft_counts_for_24_hours_from_its_delivery_on(make_creator: MakeCreator, clip: Media) -> None:
    creator = make_creator()
    creator.sandbox.set_switches(pending_drafts="window")
    made = [data_of(creator.init_inbox(clip.source())) for _ in range(5)]
    creator.sandbox.advance(3000)
    for draft in made:
        creator.upload(draft["upload_url"], clip)
        assert creator.wait_for(draft["publish_id"])["status"] == "SEND_TO_USER_INBOX"
    creator.sandbox.advance(DAY - 1500)
    next_day = renewed(make_creator, creator)
    assert_error(next_day.init_inbox(clip.source()), 403, "spam_risk_too_many_pending_share")
    next_day.sandbox.advance(1500)
    assert data_of(next_day.init_inbox(clip.source()))


def test_an_attempt_that_failed_or_whose_upload_url_has_expired_does_not_count(
    make_creator: MakeCreator, clip: Media
) -> None:
    creator = make_creator(account={"daily_post_cap": 1})
    pending = data_of(creator.init_video(clip.source()))
    assert_error(creator.init_video(clip.source()), 403, "spam_risk_too_many_posts")
    creator.sandbox.advance(3601)
    expired, failed = pending["publish_id"], data_of(creator.init_video(clip.source()))
    assert_error(creator.init_video(clip.source()), 403, "spam_risk_too_many_posts")
    control(creator.sandbox, "POST", f"/sandbox/publishes/{failed['publish_id']}/fail", {})
    assert creator.publish(clip) not in {expired, failed["publish_id"]}


@pytest.mark.parametrize("app", [{"active_user_cap": 2}, {"active_user_cap": 2, "audited": False}])
def test_an_app_has_a_cap_of_creators_a_day(make_creator: MakeCreator, clip: Media, app: Json) -> None:
    private: Json = {"account": {"private": True}}
    first = make_creator(app=app, **private)
    for creator in (first, make_creator(app_of=first, **private)):
        creator.publish(clip, privacy_level="SELF_ONLY")
    third = make_creator(app_of=first, **private)
    assert_error(third.init_video(clip.source(), privacy_level="SELF_ONLY"), 403, "reached_active_user_cap")
    assert_error(third.init_photos(PHOTO, privacy_level="SELF_ONLY"), 403, "reached_active_user_cap")
    assert data_of(third.init_inbox(clip.source()))
    assert data_of(first.init_video(clip.source(), privacy_level="SELF_ONLY"))
    third.sandbox.advance(DAY + 60)
    assert data_of(renewed(make_creator, third).init_video(clip.source(), privacy_level="SELF_ONLY"))


def test_the_creators_of_another_app_do_not_count_for_the_cap_of_an_app(
    make_creator: MakeCreator, clip: Media
) -> None:
    make_creator(app={"active_user_cap": 1}).publish(clip)
    creator = make_creator(app={"active_user_cap": 1})
    creator.publish(clip)
    other = make_creator(app_of=creator)
    assert_error(other.init_video(clip.source()), 403, "reached_active_user_cap")


def test_without_caps_nothing_of_a_day_is_refused(sandbox: Sandbox, make_creator: MakeCreator) -> None:
    sandbox.set_switches(caps=False, rate_limits=False)
    creator = make_creator(app={"active_user_cap": 0}, account={"daily_post_cap": 0})
    for _ in range(6):
        assert data_of(creator.init_video(file_source(1000)))
        assert data_of(creator.init_inbox(file_source(1000)))
