"""What a caller may ask for in a post: fields, lengths, visibility, and who may post at all."""

from dataclasses import dataclass, field

from tiktok_sandbox.api_routes import ApiCall
from tiktok_sandbox.envelope import ApiError, ParamsError
from tiktok_sandbox.records import PostSettings

UNAUDITED = "unaudited_client_can_only_post_to_private_accounts"
_FIRST_APP_WITH_PHOTO_DRAFTS = (31, 8)
_VIDEO_TITLE, _PHOTO_TITLE, _PHOTO_DESCRIPTION = 2200, 90, 4000
_INT32 = range(-(2**31), 2**31)


@dataclass(frozen=True)
class VideoPostInfo:
    privacy_level: str
    title: str = ""
    disable_duet: bool = False
    disable_stitch: bool = False
    disable_comment: bool = False
    video_cover_timestamp_ms: int | None = None
    brand_content_toggle: bool = False
    brand_organic_toggle: bool = False
    is_aigc: bool = False


@dataclass(frozen=True)
class PhotoPostInfo:
    """`is_aigc` belongs beside post_info; some clients send it here, where it has no effect."""

    title: str = ""
    description: str = ""
    privacy_level: str | None = None
    disable_comment: bool = False
    auto_add_music: bool = False
    brand_content_toggle: bool = False
    brand_organic_toggle: bool = False
    is_aigc: bool = False


@dataclass(frozen=True)
class VideoBody:
    post_info: dict[str, object]
    source_info: dict[str, object]


@dataclass(frozen=True)
class DraftBody:
    """TikTok takes a post_info here as well; what for is not documented."""

    source_info: dict[str, object]
    post_info: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class PhotoBody:
    media_type: str
    post_mode: str
    source_info: dict[str, object]
    post_info: dict[str, object] = field(default_factory=dict)
    is_aigc: bool = False


def _check_length(name: str, text: str, limit: int) -> None:
    """Lengths count UTF-16 units: most emoji are two."""
    if len(text.encode("utf-16-le", "surrogatepass")) // 2 > limit:
        raise ParamsError(f"{name} is longer than {limit} UTF-16 units")


def video_settings(call: ApiCall, post_info: dict[str, object]) -> PostSettings:
    info = call.parse(VideoPostInfo, post_info)
    _check_length("title", info.title, _VIDEO_TITLE)
    if (info.video_cover_timestamp_ms or 0) not in _INT32:
        raise ParamsError("video_cover_timestamp_ms must be an int32")
    settings = PostSettings(**vars(info))
    _check_branding(call, settings)
    return _with_account_rules(call, settings)


def photo_settings(call: ApiCall, body: PhotoBody, cover: int) -> PostSettings:
    info = call.parse(PhotoPostInfo, body.post_info)
    _check_length("title", info.title, _PHOTO_TITLE)
    _check_length("description", info.description, _PHOTO_DESCRIPTION)
    if body.post_mode == "MEDIA_UPLOAD":
        # The rest of post_info is for direct posts only: the creator decides in the app.
        return PostSettings(info.title, info.description, is_aigc=body.is_aigc, photo_cover_index=cover)
    if info.privacy_level is None:
        raise ParamsError("privacy_level is required")
    settings = PostSettings(**{**vars(info), "is_aigc": body.is_aigc, "photo_cover_index": cover})
    _check_branding(call, settings)
    return _with_account_rules(call, settings)


def _check_branding(call: ApiCall, settings: PostSettings) -> None:
    branded_and_hidden = settings.brand_content_toggle and settings.privacy_level == "SELF_ONLY"
    if branded_and_hidden and call.state.switches.branded_self_only == "refused":
        raise ParamsError("Branded content cannot be SELF_ONLY")


def _with_account_rules(call: ApiCall, settings: PostSettings) -> PostSettings:
    """TikTok turns off what the creator's own settings forbid."""
    account = call.account
    forced = {
        "disable_comment": settings.disable_comment or account.comment_disabled,
        "disable_duet": settings.disable_duet or account.duet_disabled or account.private,
        "disable_stitch": settings.disable_stitch or account.stitch_disabled or account.private,
    }
    return PostSettings(**{**vars(settings), **forced})


def check_not_banned(call: ApiCall) -> None:
    if call.account.banned:
        raise ApiError("spam_risk_user_banned_from_posting", "The user is banned from making new posts")


def check_visibility(call: ApiCall, privacy_level: str | None) -> None:
    """Refuse what the app, by its audit, or the account, by its options, does not allow."""
    if call.app.restricted:
        if not call.account.private:
            raise ApiError(UNAUDITED, "Unaudited clients can only post to private accounts")
        if privacy_level != "SELF_ONLY":
            code = call.state.switches.unaudited_visibility_code
            raise ApiError(code, "Unaudited clients can only post with SELF_ONLY")
    if privacy_level not in call.account.privacy_levels:
        raise ApiError("privacy_level_option_mismatch", "privacy_level is not one of the creator's options")


def check_app_version(call: ApiCall) -> None:
    version = tuple(int(part) for part in call.account.app_version.split("."))
    if version < _FIRST_APP_WITH_PHOTO_DRAFTS:
        raise ApiError("app_version_check_failed", "The user's TikTok app must be at least version 31.8")
