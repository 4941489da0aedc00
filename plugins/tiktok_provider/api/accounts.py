"""Who the account is and what it may do. Sources: TikTok's "Query Creator Info" and "User Info" pages."""

from collections.abc import Sequence

from tiktok_provider.api.calls import Answered, Call, Request, open_envelope, parse, post_json

BASIC_FIELDS = ("open_id", "union_id", "avatar_url", "display_name")
STATS_SCOPE = "user.info.stats"
# TikTok refuses a call that asks for a field of a scope that was not granted.
FIELDS_OF_SCOPE = {
    "user.info.basic": BASIC_FIELDS,
    "user.info.profile": ("username", "bio_description", "profile_deep_link", "is_verified"),
    STATS_SCOPE: ("follower_count", "following_count", "likes_count", "video_count"),
}


class CreatorInfo(Answered):
    """What this creator offers at this moment.

    :param privacy_level_options: a post must take one of these.
    :param max_video_post_duration_sec: seconds.
    :param creator_avatar_url: valid for two hours.
    """

    creator_username: str
    creator_nickname: str = ""
    creator_avatar_url: str = ""
    privacy_level_options: tuple[str, ...]
    comment_disabled: bool = False
    duet_disabled: bool = False
    stitch_disabled: bool = False
    max_video_post_duration_sec: int


class UserInfo(Answered):
    """The fields that were asked for; all others are None."""

    open_id: str | None = None
    union_id: str | None = None
    avatar_url: str | None = None
    avatar_url_100: str | None = None
    avatar_large_url: str | None = None
    display_name: str | None = None
    bio_description: str | None = None
    profile_deep_link: str | None = None
    is_verified: bool | None = None
    username: str | None = None
    follower_count: int | None = None
    following_count: int | None = None
    likes_count: int | None = None
    video_count: int | None = None


def creator_info() -> Call[CreatorInfo]:
    """Ask what the creator offers. Scope ``video.publish``; 20 a minute."""
    answer = yield post_json("/v2/post/publish/creator_info/query/", {})
    return parse(CreatorInfo, open_envelope(answer))


def user_info(fields: Sequence[str] = BASIC_FIELDS) -> Call[UserInfo]:
    """Read the account's profile. 600 a minute.

    :param fields: only what the granted scopes cover: one field too many and TikTok refuses the whole call.
    """
    answer = yield Request("GET", "/v2/user/info/", query={"fields": ",".join(fields)})
    data = open_envelope(answer)
    user = data.get("user")
    return parse(UserInfo, user if isinstance(user, dict) else {})
