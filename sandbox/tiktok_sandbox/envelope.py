"""TikTok's answers: the envelope of the API, the flat errors of OAuth, and the codes with their statuses."""

from dataclasses import dataclass

from starlette.responses import JSONResponse

CREATOR_INFO_PATH = "/v2/post/publish/creator_info/query/"
# The only endpoint whose answer has no data.
CANCEL_PATH = "/v2/post/publish/cancel/"
# Answered with 200 by creator_info, on purpose: the caller shall stop and try later.
_CREATOR_INFO_OK = {
    "spam_risk_too_many_posts",
    "spam_risk_user_banned_from_posting",
    "reached_active_user_cap",
}
_STATUSES = {
    "access_token_invalid": 401,
    "scope_not_authorized": 401,
    "rate_limit_exceeded": 429,
    "internal_error": 500,
    "spam_risk_too_many_posts": 403,
    "spam_risk_user_banned_from_posting": 403,
    "spam_risk_too_many_pending_share": 403,
    "reached_active_user_cap": 403,
    "unaudited_client_can_only_post_to_private_accounts": 403,
    "url_ownership_unverified": 403,
    "privacy_level_option_mismatch": 403,
}


class ApiError(Exception):
    """An answer with a code other than ok."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class ParamsError(ApiError):
    """A request that TikTok finds malformed; how it spells the code is a switch."""

    def __init__(self, message: str) -> None:
        super().__init__("invalid_params", message)


@dataclass
class OAuthError(Exception):
    """An answer of the OAuth endpoints."""

    error: str
    description: str


def status_of(code: str, path: str) -> int:
    """The HTTP status that goes with a code of the API at this path."""
    if code == "ok" or (path == CREATOR_INFO_PATH and code in _CREATOR_INFO_OK):
        return 200
    return _STATUSES.get(code, 400)


def oauth_status_of(error: str) -> int:
    """The usual HTTP status of an OAuth error; which one TikTok sends is not documented."""
    return {"invalid_client": 401, "server_error": 500, "temporarily_unavailable": 503}.get(error, 400)


def success(data: dict[str, object] | None, log_id: str) -> JSONResponse:
    """The envelope of a success; without `data` where it is None."""
    error = {"code": "ok", "message": "", "log_id": log_id}
    content = {"error": error} if data is None else {"data": data, "error": error}
    return JSONResponse(content, headers={"x-tt-logid": log_id})


def failure(code: str, message: str, log_id: str, path: str) -> JSONResponse:
    error = {"code": code, "message": message, "log_id": log_id}
    content = {"error": error} if path == CANCEL_PATH else {"data": {}, "error": error}
    return JSONResponse(content, status_of(code, path), headers={"x-tt-logid": log_id})


def oauth_failure(error: OAuthError, status: int, log_id: str) -> JSONResponse:
    content = {"error": error.error, "error_description": error.description, "log_id": log_id}
    return JSONResponse(content, status, headers={"x-tt-logid": log_id, "cache-control": "no-store"})
