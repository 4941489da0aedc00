"""Fact sheet section 3: what a creator may post now."""

import pytest

from tests.sandbox.conftest import (
    BARE,
    CREATOR_INFO,
    Creator,
    Json,
    MakeCreator,
    Media,
    assert_error,
    assert_lives,
    data_of,
)

PUBLIC_LEVELS = ["PUBLIC_TO_EVERYONE", "MUTUAL_FOLLOW_FRIENDS", "SELF_ONLY"]
PRIVATE_LEVELS = ["FOLLOWER_OF_CREATOR", "MUTUAL_FOLLOW_FRIENDS", "SELF_ONLY"]


def creator_info(creator: Creator) -> Json:
    return data_of(creator.post_json(CREATOR_INFO))


def test_the_answer_has_all_fields_with_their_types(make_creator: MakeCreator) -> None:
    info = creator_info(make_creator(account={"username": "mia", "nickname": "Mia M."}))
    assert {name: type(value) for name, value in info.items()} == {
        "creator_avatar_url": str,
        "creator_username": str,
        "creator_nickname": str,
        "privacy_level_options": list,
        "comment_disabled": bool,
        "duet_disabled": bool,
        "stitch_disabled": bool,
        "max_video_post_duration_sec": int,
    }
    assert (info["creator_username"], info["creator_nickname"]) == ("mia", "Mia M.")


@pytest.mark.parametrize("content", [b"", b"{}"], ids=["no_body", "empty_object"])
def test_no_body_is_needed(creator: Creator, content: bytes) -> None:
    headers = {"Content-Type": "application/json; charset=UTF-8"}
    assert data_of(creator.http.post(CREATOR_INFO, content=content, headers=headers))


@pytest.mark.parametrize(
    ("account", "levels"),
    [
        pytest.param({}, PUBLIC_LEVELS, id="public"),
        pytest.param({"private": True}, PRIVATE_LEVELS, id="private"),
        pytest.param(
            {"hidden_privacy_levels": ["MUTUAL_FOLLOW_FRIENDS"]},
            ["PUBLIC_TO_EVERYONE", "SELF_ONLY"],
            id="public_with_one_hidden",
        ),
        pytest.param(
            {"private": True, "hidden_privacy_levels": ["FOLLOWER_OF_CREATOR"]},
            ["MUTUAL_FOLLOW_FRIENDS", "SELF_ONLY"],
            id="private_with_one_hidden",
        ),
    ],
)
def test_the_levels_follow_the_kind_of_account(
    make_creator: MakeCreator, account: Json, levels: list[str]
) -> None:
    assert creator_info(make_creator(account=account))["privacy_level_options"] == levels


@pytest.mark.parametrize(
    ("account", "disabled"),
    [
        pytest.param({}, (False, False, False), id="nothing"),
        pytest.param({"comment_disabled": True}, (True, False, False), id="comment"),
        pytest.param({"duet_disabled": True}, (False, True, False), id="duet"),
        pytest.param({"stitch_disabled": True}, (False, False, True), id="stitch"),
        pytest.param({"private": True}, (False, True, True), id="private_has_no_duet_and_stitch"),
    ],
)
def test_interactions_are_disabled_as_the_account_says(
    make_creator: MakeCreator, account: Json, disabled: tuple[bool, bool, bool]
) -> None:
    info = creator_info(make_creator(account=account))
    assert (info["comment_disabled"], info["duet_disabled"], info["stitch_disabled"]) == disabled


@pytest.mark.parametrize("seconds", [180, 300, 600])
def test_the_longest_duration_is_the_accounts_own(make_creator: MakeCreator, seconds: int) -> None:
    account = {"max_video_post_duration_sec": seconds}
    assert creator_info(make_creator(account=account))["max_video_post_duration_sec"] == seconds


def test_the_avatars_address_lives_two_hours_and_another_call_gives_a_fresh_one(creator: Creator) -> None:
    assert_lives(creator.sandbox, creator_info(creator)["creator_avatar_url"], 7200)
    assert_lives(creator.sandbox, creator_info(creator)["creator_avatar_url"], 7200)


@pytest.mark.parametrize("query", ["", "?expires=", "?expires=never", "?expires=0"])
def test_an_avatars_address_is_good_with_its_expiry_alone(creator: Creator, query: str) -> None:
    url = creator_info(creator)["creator_avatar_url"]
    assert BARE.get(url.partition("?")[0] + query).status_code == 403


def test_an_answer_is_fresh_each_time(creator: Creator) -> None:
    assert creator_info(creator)["privacy_level_options"] == PUBLIC_LEVELS
    creator.sandbox.update_account(creator.open_id, private=True, nickname="Other")
    info = creator_info(creator)
    assert (info["privacy_level_options"], info["creator_nickname"]) == (PRIVATE_LEVELS, "Other")


def test_the_answer_does_not_reveal_that_the_app_is_unaudited(make_creator: MakeCreator) -> None:
    assert creator_info(make_creator(app={"audited": False}))["privacy_level_options"] == PUBLIC_LEVELS


def test_a_draft_only_app_cannot_ask(make_creator: MakeCreator) -> None:
    creator = make_creator(scope="user.info.basic,video.upload")
    assert_error(creator.post_json(CREATOR_INFO), 401, "scope_not_authorized")


def test_a_banned_creator_is_reported_with_http_200(make_creator: MakeCreator) -> None:
    creator = make_creator(account={"banned": True})
    assert_error(creator.post_json(CREATOR_INFO), 200, "spam_risk_user_banned_from_posting")


def test_the_cap_of_the_day_is_reported_with_http_200(make_creator: MakeCreator, clip: Media) -> None:
    creator = make_creator(account={"daily_post_cap": 1})
    assert creator_info(creator)
    creator.publish(clip)
    assert_error(creator.post_json(CREATOR_INFO), 200, "spam_risk_too_many_posts")
    creator.sandbox.advance(86_400)
    # The access token of the day before is dead by now.
    tomorrow = make_creator(app_of=creator, account_of=creator)
    assert creator_info(tomorrow)["creator_username"] == creator.username


def test_the_cap_of_active_creators_is_reported_with_http_200(make_creator: MakeCreator, clip: Media) -> None:
    first = make_creator(app={"active_user_cap": 1})
    first.publish(clip)
    second = make_creator(app_of=first)
    assert_error(second.post_json(CREATOR_INFO), 200, "reached_active_user_cap")
    assert creator_info(first)


def test_the_cap_of_active_creators_belongs_to_one_app(make_creator: MakeCreator, clip: Media) -> None:
    first = make_creator(app={"active_user_cap": 1})
    first.publish(clip)
    assert creator_info(make_creator(app={"active_user_cap": 1}))
