"""Fact sheet section 10: user info, the list of videos and the query of videos."""

import httpx
import pytest

from tests.sandbox.conftest import (
    USER_INFO,
    VIDEO_LIST,
    VIDEO_QUERY,
    Creator,
    Json,
    MakeCreator,
    Media,
    assert_error,
    assert_lives,
    control,
    data_of,
)

USER_FIELDS: dict[str, dict[str, type]] = {
    "user.info.basic": {
        "open_id": str,
        "union_id": str,
        "avatar_url": str,
        "avatar_url_100": str,
        "avatar_large_url": str,
        "display_name": str,
    },
    "user.info.profile": {
        "bio_description": str,
        "profile_deep_link": str,
        "is_verified": bool,
        "username": str,
    },
    "user.info.stats": {
        "follower_count": int,
        "following_count": int,
        "likes_count": int,
        "video_count": int,
    },
}
VIDEO_FIELDS: dict[str, type] = {
    "id": str,
    "create_time": int,
    "cover_image_url": str,
    "share_url": str,
    "video_description": str,
    "duration": int,
    "height": int,
    "width": int,
    "title": str,
    "embed_html": str,
    "embed_link": str,
    "like_count": int,
    "comment_count": int,
    "share_count": int,
    "view_count": int,
}


def user_info(creator: Creator, fields: str | None) -> httpx.Response:
    return creator.http.get(USER_INFO, params={} if fields is None else {"fields": fields})


def video_list(creator: Creator, fields: str | None = "id", **body: object) -> httpx.Response:
    return creator.http.post(VIDEO_LIST, params={} if fields is None else {"fields": fields}, json=body)


def video_query(creator: Creator, ids: object, fields: str | None = "id") -> httpx.Response:
    params = {} if fields is None else {"fields": fields}
    return creator.http.post(VIDEO_QUERY, params=params, json={"filters": {"video_ids": ids}})


def ids_of(response: httpx.Response) -> list[str]:
    return [video["id"] for video in data_of(response)["videos"]]


def post(creator: Creator, clip: Media, **post_info: object) -> str:
    return str(creator.wait_for_post(creator.send_video(clip, **post_info)))


@pytest.fixture
def prolific(make_creator: MakeCreator, clip: Media) -> tuple[Creator, list[str]]:
    """A creator with 22 public videos, and their ids, newest first."""
    creator = make_creator()
    creator.sandbox.set_switches(rate_limits=False, caps=False)
    ids = [post(creator, clip, title=f"clip {number}") for number in range(22)]
    return creator, ids[::-1]


# Fields


@pytest.mark.parametrize("fields", [None, "", "open_id,shoe_size", "open_id username", "OPEN_ID"])
def test_user_info_needs_known_fields(creator: Creator, fields: str | None) -> None:
    assert_error(user_info(creator, fields), 400, "invalid_params")


@pytest.mark.parametrize("fields", [None, "", "id,shoe_size", "id title", "ID"])
@pytest.mark.parametrize("route", ["list", "query"])
def test_videos_need_known_fields(creator: Creator, route: str, fields: str | None) -> None:
    response = video_list(creator, fields) if route == "list" else video_query(creator, ["7"], fields)
    assert_error(response, 400, "invalid_params")


@pytest.mark.parametrize("route", [VIDEO_LIST, VIDEO_QUERY])
def test_fields_belong_in_the_query_string(creator: Creator, route: str) -> None:
    body = {"fields": "id", "filters": {"video_ids": ["7"]}}
    assert_error(creator.post_json(route, body), 400, "invalid_params")


@pytest.mark.parametrize("scope", USER_FIELDS)
def test_user_info_has_the_fields_that_were_asked_for_with_their_types(
    make_creator: MakeCreator, scope: str
) -> None:
    creator = make_creator(scope=scope)
    user = data_of(user_info(creator, ",".join(USER_FIELDS[scope])))["user"]
    assert {name: type(value) for name, value in user.items()} == USER_FIELDS[scope]


def test_user_info_has_nothing_else(make_creator: MakeCreator) -> None:
    creator = make_creator(account={"username": "mia", "nickname": "Mia M."})
    user = data_of(user_info(creator, "display_name,open_id,username"))["user"]
    assert user == {"display_name": "Mia M.", "open_id": creator.open_id, "username": "mia"}


@pytest.mark.parametrize(
    ("switch", "status"), [("scope_not_authorized", 401), ("scope_permission_missed", 400)]
)
@pytest.mark.parametrize(
    ("granted", "field"),
    [
        ("user.info.basic", "username"),
        ("user.info.basic", "follower_count"),
        ("user.info.profile,user.info.basic", "follower_count"),
        ("user.info.stats,user.info.basic", "bio_description"),
    ],
)
def test_one_field_outside_the_scopes_refuses_the_whole_call_as_the_switch_says(
    make_creator: MakeCreator, granted: str, field: str, switch: str, status: int
) -> None:
    creator = make_creator(scope=granted)
    creator.sandbox.set_switches(display_scope_error=switch)
    assert_error(user_info(creator, f"open_id,{field}"), status, switch)
    assert data_of(user_info(creator, "open_id"))


@pytest.mark.parametrize("field", ["avatar_url", "avatar_url_100", "avatar_large_url"])
def test_an_avatars_address_lives_two_hours(creator: Creator, field: str) -> None:
    assert_lives(creator.sandbox, data_of(user_info(creator, field))["user"][field], 7200)


def test_an_open_id_belongs_to_one_app_and_a_union_id_to_the_creator(make_creator: MakeCreator) -> None:
    one = make_creator()
    two = make_creator(account_of=one)
    users = [data_of(user_info(creator, "open_id,union_id"))["user"] for creator in (one, two)]
    assert users[0]["open_id"] != users[1]["open_id"]
    assert users[0]["union_id"] == users[1]["union_id"]
    assert [user["open_id"] for user in users] == [one.open_id, two.open_id]


def test_videos_are_counted(creator: Creator, clip: Media) -> None:
    assert data_of(user_info(creator, "video_count"))["user"] == {"video_count": 0}
    post(creator, clip)
    assert data_of(user_info(creator, "video_count"))["user"] == {"video_count": 1}


def test_a_video_has_all_fields_with_their_types(creator: Creator, clip: Media) -> None:
    post_id = post(creator, clip, title="Look #cats")
    posted_at = creator.feed_entry(creator.sandbox.feed()[0]["publish_id"])["posted_at"]
    for response in (
        video_list(creator, ",".join(VIDEO_FIELDS)),
        video_query(creator, [post_id], ",".join(VIDEO_FIELDS)),
    ):
        (video,) = data_of(response)["videos"]
        assert {name: type(value) for name, value in video.items()} == VIDEO_FIELDS
        assert (video["id"], video["height"], video["width"]) == (post_id, 360, 360)
        assert abs(video["create_time"] - posted_at) < 30
        assert "Look #cats" in (video["title"], video["video_description"])
        assert video["share_url"].partition("?")[0].endswith(f"/@{creator.username}/video/{post_id}")


def test_a_covers_address_lives_six_hours_and_a_query_gives_a_fresh_one(
    creator: Creator, clip: Media
) -> None:
    post_id = post(creator, clip)
    (listed,) = data_of(video_list(creator, "cover_image_url"))["videos"]
    assert_lives(creator.sandbox, listed["cover_image_url"], 6 * 3600)
    (queried,) = data_of(video_query(creator, [post_id], "cover_image_url"))["videos"]
    assert_lives(creator.sandbox, queried["cover_image_url"], 6 * 3600)


def test_a_video_has_only_the_fields_that_were_asked_for(creator: Creator, clip: Media) -> None:
    post(creator, clip)
    (video,) = data_of(video_list(creator, "title,id"))["videos"]
    assert set(video) == {"title", "id"}


def test_title_and_description_are_cut_at_150_characters(creator: Creator, clip: Media) -> None:
    post(creator, clip, title="x" * 2000)
    (video,) = data_of(video_list(creator, "title,video_description"))["videos"]
    assert 1 <= max(len(video["title"]), len(video["video_description"])) <= 150


# The list


def test_a_creator_without_videos_has_an_empty_list(creator: Creator) -> None:
    data = data_of(video_list(creator))
    assert (data["videos"], data["has_more"]) == ([], False)


def test_a_page_has_ten_videos_newest_first(prolific: tuple[Creator, list[str]]) -> None:
    creator, ids = prolific
    data = data_of(video_list(creator))
    assert set(data) == {"videos", "cursor", "has_more"}
    assert [video["id"] for video in data["videos"]] == ids[:10]
    assert data["has_more"] is True


def test_the_cursor_leads_through_all_pages_once(prolific: tuple[Creator, list[str]]) -> None:
    creator, ids = prolific
    seen: list[str] = []
    cursor: Json = {}
    for more in (True, True, False):
        data = data_of(video_list(creator, max_count=9, **cursor))
        seen += [video["id"] for video in data["videos"]]
        assert data["has_more"] is more
        cursor = {"cursor": data["cursor"]}
    assert seen == ids
    assert data_of(video_list(creator, max_count=20))["videos"][-1]["id"] == ids[19]


def test_the_cursor_is_a_time_in_milliseconds(prolific: tuple[Creator, list[str]]) -> None:
    creator, ids = prolific
    data = data_of(video_list(creator, "id,create_time", max_count=20))
    now = creator.sandbox.now() * 1000
    assert now - 3_600_000 < data["cursor"] <= now
    fifth = data["videos"][4]["create_time"]
    before = ids_of(video_list(creator, cursor=(fifth + 1) * 1000, max_count=20))
    assert before[0] in ids[4:5]
    assert ids_of(video_list(creator, cursor=1000)) == []


BAD_PAGES: list[Json] = [
    {"max_count": 21},
    {"max_count": 0},
    {"max_count": -1},
    {"max_count": "10"},
    {"max_count": 1.5},
    {"cursor": "now"},
]


@pytest.mark.parametrize("body", BAD_PAGES, ids=str)
def test_a_bad_page_is_refused(creator: Creator, body: Json) -> None:
    assert_error(video_list(creator, **body), 400, "invalid_params")


@pytest.mark.parametrize("level", ["SELF_ONLY", "MUTUAL_FOLLOW_FRIENDS"])
def test_only_public_videos_are_listed(creator: Creator, clip: Media, level: str) -> None:
    public = post(creator, clip)
    creator.publish(clip, privacy_level=level)
    creator.sandbox.advance(60)
    assert ids_of(video_list(creator)) == [public]


def test_a_video_in_moderation_is_not_listed(creator: Creator, clip: Media) -> None:
    creator.sandbox.set_switches(moderation_seconds=600)
    creator.publish(clip)
    assert ids_of(video_list(creator)) == []
    creator.sandbox.advance(600)
    assert len(ids_of(video_list(creator))) == 1


def test_drafts_are_not_listed(creator: Creator, clip: Media) -> None:
    creator.wait_for(creator.send_draft(clip))
    assert ids_of(video_list(creator)) == []


@pytest.mark.parametrize(
    "change", [{"deleted": True}, {"privacy_level": "SELF_ONLY"}], ids=["deleted", "hidden"]
)
def test_what_the_creator_takes_back_is_gone(creator: Creator, clip: Media, change: Json) -> None:
    gone, kept = post(creator, clip), post(creator, clip)
    control(creator.sandbox, "POST", f"/sandbox/posts/{gone}", change)
    assert ids_of(video_list(creator)) == [kept]
    assert gone not in ids_of(video_query(creator, [gone, kept]))


# The query


def test_a_query_has_the_videos_that_were_asked_for(prolific: tuple[Creator, list[str]]) -> None:
    creator, ids = prolific
    assert sorted(ids_of(video_query(creator, [ids[3], ids[21]]))) == sorted([ids[3], ids[21]])
    assert len(ids_of(video_query(creator, ids[:20]))) == 20
    assert_error(video_query(creator, ids[:21]), 400, "invalid_params")


@pytest.mark.parametrize("ids", [[], None, "7", 7, [7], [None]], ids=str)
def test_a_query_without_a_list_of_ids_is_refused(creator: Creator, ids: object) -> None:
    assert_error(video_query(creator, ids), 400, "invalid_params")


@pytest.mark.parametrize("body", [{}, {"filters": None}, {"filters": []}, {"video_ids": ["7"]}], ids=str)
def test_a_query_without_filters_is_refused(creator: Creator, body: Json) -> None:
    assert_error(creator.post_json(VIDEO_QUERY + "?fields=id", body), 400, "invalid_params")


@pytest.mark.parametrize("foreign", [True, False], ids=["foreign", "unknown"])
@pytest.mark.parametrize("switch", ["omitted", "error"])
def test_an_id_that_is_not_the_creators_is_treated_as_the_switch_says(
    make_creator: MakeCreator, creator: Creator, clip: Media, switch: str, foreign: bool
) -> None:
    creator.sandbox.set_switches(query_foreign_ids=switch)
    own = post(creator, clip)
    other = post(make_creator(app_of=creator), clip) if foreign else "7000000000000000001"
    response = video_query(creator, [own, other])
    if switch == "omitted":
        assert ids_of(response) == [own]
    else:
        assert response.status_code >= 400
        assert response.json()["error"]["code"] != "ok"


def test_the_lists_of_two_creators_do_not_mix(
    make_creator: MakeCreator, creator: Creator, clip: Media
) -> None:
    other = make_creator(app_of=creator)
    own, foreign = post(creator, clip), post(other, clip)
    assert (ids_of(video_list(creator)), ids_of(video_list(other))) == ([own], [foreign])
