"""Fact sheet section 11.2: what an app without an audit may post."""

import pytest

from tests.sandbox.conftest import (
    NOWHERE,
    Creator,
    Json,
    MakeCreator,
    Media,
    assert_error,
    data_of,
    file_source,
)

CODE = "unaudited_client_can_only_post_to_private_accounts"
PHOTO = [f"{NOWHERE}/a.jpg"]
UNAUDITED: Json = {"audited": False}


@pytest.fixture
def public(make_creator: MakeCreator) -> Creator:
    return make_creator(app=UNAUDITED)


@pytest.fixture
def private(make_creator: MakeCreator) -> Creator:
    return make_creator(app=UNAUDITED, account={"private": True})


@pytest.mark.parametrize("level", ["SELF_ONLY", "PUBLIC_TO_EVERYONE", "MUTUAL_FOLLOW_FRIENDS"])
def test_nothing_is_posted_to_a_public_account(public: Creator, level: str) -> None:
    assert_error(public.init_video(file_source(1000), privacy_level=level), 403, CODE)
    assert_error(public.init_photos(PHOTO, privacy_level=level), 403, CODE)


def test_a_private_account_gets_posts_for_itself_alone(private: Creator, clip: Media) -> None:
    publish_id = private.publish(clip, privacy_level="SELF_ONLY")
    assert private.feed_entry(publish_id)["privacy_level"] == "SELF_ONLY"
    assert data_of(private.init_photos(PHOTO, privacy_level="SELF_ONLY"))


@pytest.mark.parametrize("code", [CODE, "privacy_level_option_mismatch"])
@pytest.mark.parametrize("level", ["FOLLOWER_OF_CREATOR", "MUTUAL_FOLLOW_FRIENDS"])
def test_more_than_for_oneself_is_refused_with_the_code_of_the_switch(
    private: Creator, level: str, code: str
) -> None:
    private.sandbox.set_switches(unaudited_visibility_code=code)
    assert_error(private.init_video(file_source(1000), privacy_level=level), 403, code)
    assert_error(private.init_photos(PHOTO, privacy_level=level), 403, code)


def test_the_account_counts_as_it_is_at_the_time_of_the_post(public: Creator) -> None:
    source = file_source(1000)
    public.sandbox.update_account(public.open_id, private=True)
    assert data_of(public.init_video(source, privacy_level="SELF_ONLY"))
    public.sandbox.update_account(public.open_id, private=False)
    assert_error(public.init_video(source, privacy_level="SELF_ONLY"), 403, CODE)


def test_drafts_need_no_audit(public: Creator, clip: Media) -> None:
    assert public.wait_for(public.send_draft(clip))["status"] == "SEND_TO_USER_INBOX"
    assert data_of(public.init_photos(PHOTO, "MEDIA_UPLOAD"))


def test_branded_content_is_out_of_reach(private: Creator) -> None:
    response = private.init_video(file_source(1000), privacy_level="SELF_ONLY", brand_content_toggle=True)
    assert response.status_code in {400, 403}


def test_five_creators_post_in_24_hours(make_creator: MakeCreator, clip: Media) -> None:
    account: Json = {"private": True}
    first = make_creator(app=UNAUDITED, account=account)
    others = [make_creator(app_of=first, account=account) for _ in range(5)]
    for creator in (first, *others[:4]):
        creator.publish(clip, privacy_level="SELF_ONLY")
    sixth = others[4]
    response = sixth.init_video(file_source(1000), privacy_level="SELF_ONLY")
    assert_error(response, 403, "reached_active_user_cap")
    assert data_of(first.init_video(file_source(1000), privacy_level="SELF_ONLY"))
    assert data_of(sixth.init_inbox(file_source(1000)))
    sixth.sandbox.advance(86_460)
    tomorrow = make_creator(app_of=first, account_of=sixth)
    assert data_of(tomorrow.init_video(file_source(1000), privacy_level="SELF_ONLY"))


def test_an_audited_app_has_no_such_cap(make_creator: MakeCreator, clip: Media) -> None:
    first = make_creator()
    for creator in (first, *[make_creator(app_of=first) for _ in range(5)]):
        creator.publish(clip)


def test_a_sandbox_app_posts_nothing_public(make_creator: MakeCreator) -> None:
    response = make_creator(app={"sandbox": True}).init_video(file_source(1000))
    assert response.status_code == 403
    assert response.json()["error"]["code"] != "ok"


def test_a_sandbox_app_sends_drafts_and_posts_for_oneself_alone(
    make_creator: MakeCreator, clip: Media
) -> None:
    creator = make_creator(app={"sandbox": True}, account={"private": True})
    assert creator.wait_for(creator.send_draft(clip))["status"] == "SEND_TO_USER_INBOX"
    assert creator.publish(clip, privacy_level="SELF_ONLY")
