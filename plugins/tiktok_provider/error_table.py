"""Every documented error of TikTok: what it means, what to do, who can fix it, whether a retry helps.

Sources: TikTok's pages "API v2 Error Handling", "Query Creator Info", "Direct Post", "Upload", "Photo",
"Get Post Status", "Media Transfer Guide", "OAuth Error Handling" and "Content Sharing Guidelines".
"""

from dataclasses import dataclass, replace

from tiktok_provider.exceptions import (
    AccountError,
    Actor,
    ApiError,
    AppError,
    AuthorizationError,
    CapReachedError,
    Explanation,
    InvalidRequestError,
    OAuthError,
    PostFailedError,
    RateLimitedError,
    Retry,
    ServiceError,
    UndocumentedError,
    UploadError,
    UploadExpiredError,
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One row: the class that is raised and its explanation."""

    error: type[ApiError]
    explanation: Explanation


def _entry(error: type[ApiError], actor: Actor, retry: Retry, meaning: str, advice: str) -> Entry:
    return Entry(error, Explanation(meaning, advice, actor, retry))


def _refusal(error: type[ApiError], actor: Actor, retry: Retry, meaning: str, advice: str) -> Entry:
    """Return the row of a code that TikTok documents for a call that it refuses before it does anything."""
    return Entry(error, Explanation(meaning, advice, actor, retry, starts_nothing=True))


AUTHOR, OWNER, APP, MAINTAINERS, TIKTOK, NONE = (
    Actor.DAG_AUTHOR,
    Actor.ACCOUNT_OWNER,
    Actor.APP_OWNER,
    Actor.MAINTAINERS,
    Actor.TIKTOK,
    Actor.NONE,
)
NEVER, BACKOFF, NEXT_MINUTE, NEXT_DAY = Retry.NEVER, Retry.BACKOFF, Retry.NEXT_MINUTE, Retry.NEXT_DAY

_INVALID_PARAMS = _refusal(
    InvalidRequestError,
    AUTHOR,
    NEVER,
    "TikTok refuses a parameter of the request",
    "Correct the value that TikTok names.",
)

API_CODES: dict[str, Entry] = {
    "invalid_params": _INVALID_PARAMS,
    "invalid_param": _INVALID_PARAMS,
    "invalid_file_upload": _refusal(
        InvalidRequestError,
        AUTHOR,
        NEVER,
        "TikTok refuses the file",
        "Check the file against TikTok's media restrictions.",
    ),
    "invalid_publish_id": _entry(
        InvalidRequestError,
        OWNER,
        NEVER,
        "TikTok does not know this publish id (any more)",
        "Look at the account to see whether the post is out.",
    ),
    "publish_not_cancellable": _entry(
        InvalidRequestError,
        OWNER,
        NEVER,
        "The post is too far along to be cancelled",
        "Delete it in the TikTok app if it must not stay.",
    ),
    "privacy_level_option_mismatch": _refusal(
        InvalidRequestError,
        AUTHOR,
        NEVER,
        "The creator's account does not offer this privacy level",
        "Take one of the privacy levels that creator_info lists.",
    ),
    "app_version_check_failed": _refusal(
        AccountError,
        OWNER,
        NEVER,
        "The creator's TikTok app is too old for drafts",
        "The creator updates the TikTok app to 31.8 or later.",
    ),
    "token_not_authorized_for_specified_publish_id": _entry(
        AuthorizationError,
        AUTHOR,
        NEVER,
        "This publish id belongs to another account",
        "Use the connection of the account that started it.",
    ),
    "access_token_invalid": _refusal(
        AuthorizationError,
        NONE,
        BACKOFF,
        "TikTok does not accept the access token, not even a new one",
        "It is refreshed again; if the account is lost, the refresh says so and who connects it again.",
    ),
    "scope_not_authorized": _refusal(
        AuthorizationError,
        OWNER,
        NEVER,
        "The creator has not granted the scope that this call needs",
        "Connect the account again and grant the scope; the app must have been approved for it.",
    ),
    "scope_permission_missed": _refusal(
        AuthorizationError,
        OWNER,
        NEVER,
        "Some of the requested fields need a scope that was not granted",
        "Connect the account again with the scope, or ask for fewer fields.",
    ),
    "spam_risk_too_many_posts": _refusal(
        CapReachedError,
        NONE,
        NEXT_DAY,
        "The creator has reached TikTok's cap of API posts in 24 hours",
        "It counts over all apps: wait until its window ends, or post from the TikTok app.",
    ),
    "spam_risk_user_banned_from_posting": _refusal(
        AccountError,
        OWNER,
        NEVER,
        "TikTok has banned this creator from posting",
        "The owner of the account asks TikTok's support.",
    ),
    "spam_risk_too_many_pending_share": _refusal(
        CapReachedError,
        OWNER,
        NEXT_DAY,
        "The creator has five drafts waiting in the inbox, which is TikTok's cap",
        "The creator posts or discards drafts in the TikTok app, or waits 24 hours.",
    ),
    "reached_active_user_cap": _refusal(
        CapReachedError,
        APP,
        NEXT_DAY,
        "The TikTok app has reached its own cap of posting users in 24 hours",
        "This account is fine: wait for the next day, or the app's owner asks TikTok for a larger cap (five before"
        " the"
        " audit).",
    ),
    "unaudited_client_can_only_post_to_private_accounts": _refusal(
        AppError,
        APP,
        NEVER,
        "The TikTok app is not audited: it can only post to private accounts",
        "Set the whole account to private in TikTok's settings and post with SELF_ONLY, or have the app audited.",
    ),
    "url_ownership_unverified": _refusal(
        AppError,
        APP,
        NEVER,
        "The media URL is not under a domain or prefix that the TikTok app has verified",
        "Verify the domain or URL prefix in TikTok's developer portal, or upload the file instead.",
    ),
    "rate_limit_exceeded": _refusal(
        RateLimitedError,
        NONE,
        NEXT_MINUTE,
        "Too many calls for this account within one minute",
        "Wait for the next minute.",
    ),
    "internal_error": _entry(
        ServiceError,
        NONE,
        BACKOFF,
        "TikTok has an internal error",
        "Repeat it later; give TikTok's support the log_id.",
    ),
}

_REAUTHORIZE = "The owner of the account connects it to the app again."

OAUTH_ERRORS: dict[str, Entry] = {
    "access_denied": _entry(
        OAuthError, OWNER, NEVER, "The user or TikTok refused the authorization", _REAUTHORIZE
    ),
    "invalid_client": _entry(
        OAuthError,
        APP,
        NEVER,
        "TikTok does not accept the client key or client secret",
        "Check Client key and Client secret of the connection; a sandbox has a key and secret of its own.",
    ),
    "invalid_grant": _entry(
        OAuthError,
        OWNER,
        NEVER,
        "TikTok does not accept the authorization code or refresh token",
        f"It is invalid, expired, revoked or another app's. {_REAUTHORIZE}",
    ),
    "invalid_request": _entry(
        OAuthError,
        APP,
        NEVER,
        "TikTok misses a parameter or refuses one",
        "Check that the redirect URI is registered to the letter.",
    ),
    "invalid_scope": _entry(
        OAuthError,
        APP,
        NEVER,
        "A scope is unknown or not approved for the app",
        "Add the scope in TikTok's portal.",
    ),
    "unauthorized_client": _entry(
        OAuthError,
        APP,
        NEVER,
        "The app may not use this flow",
        "Add Login Kit and the redirect URI in TikTok's portal.",
    ),
    "unsupported_grant_type": _entry(
        OAuthError,
        MAINTAINERS,
        NEVER,
        "TikTok does not know this grant type",
        "This is a bug in the provider: please report it.",
    ),
    "unsupported_response_type": _entry(
        OAuthError,
        MAINTAINERS,
        NEVER,
        "TikTok does not know this response type",
        "This is a bug in the provider: please report it.",
    ),
    "server_error": _entry(
        OAuthError, NONE, BACKOFF, "TikTok's token service has an internal error", "Repeat it later."
    ),
    "temporarily_unavailable": _entry(
        OAuthError, NONE, BACKOFF, "TikTok's token service is away for a moment", "Repeat it later."
    ),
}

_TOO_SLOW = _entry(
    ServiceError,
    NONE,
    BACKOFF,
    "TikTok, or a proxy on the way, did not wait for a whole chunk",
    "Nothing to do at first; check the bandwidth of the workers if it lasts.",
)

UPLOAD_STATUSES: dict[int, Entry] = {
    400: _entry(
        UploadError,
        MAINTAINERS,
        NEVER,
        "TikTok refuses the headers or the length of a chunk",
        "If no proxy changes requests on the way, this is a bug in the provider: please report it.",
    ),
    403: _entry(
        UploadExpiredError,
        NONE,
        BACKOFF,
        "The upload URL has expired (it lives one hour)",
        "Start a new upload; check the bandwidth if the file is large.",
    ),
    404: _entry(
        UploadExpiredError,
        NONE,
        BACKOFF,
        "TikTok does not know this upload (any more)",
        "Start a new upload.",
    ),
    408: _TOO_SLOW,
    425: _TOO_SLOW,
    416: _entry(
        UploadError,
        NONE,
        BACKOFF,
        "TikTok holds other bytes of this upload than were sent",
        "Start a new upload.",
    ),
}

_MEDIA = "Correct the file, then post it again."

UPLOAD_INCOMPLETE = "upload_incomplete"

FAIL_REASONS: dict[str, Explanation] = {
    "file_format_check_failed": Explanation("the file format is not supported", _MEDIA, AUTHOR, NEVER),
    "duration_check_failed": Explanation(
        "the duration is outside the creator's limits", _MEDIA, AUTHOR, NEVER
    ),
    "frame_rate_check_failed": Explanation("the frame rate is outside 23 to 60 fps", _MEDIA, AUTHOR, NEVER),
    "picture_size_check_failed": Explanation(
        "the resolution is outside TikTok's limits", _MEDIA, AUTHOR, NEVER
    ),
    "internal": Explanation("TikTok had an internal error", "A new attempt may succeed.", NONE, BACKOFF),
    "video_pull_failed": Explanation(
        "TikTok could not download the video",
        "Check that the URL stays reachable for an hour.",
        AUTHOR,
        BACKOFF,
    ),
    "photo_pull_failed": Explanation(
        "TikTok could not download a photo",
        "Check that the URLs stay reachable for an hour.",
        AUTHOR,
        BACKOFF,
    ),
    "publish_cancelled": Explanation(
        "it was cancelled", "Post it again if that was not meant.", AUTHOR, NEVER
    ),
    "auth_removed": Explanation("the creator has removed the app's access", _REAUTHORIZE, OWNER, NEVER),
    "spam_risk_too_many_posts": Explanation(
        "the cap of API posts in 24 hours is reached",
        "Wait until the window of 24 hours ends.",
        NONE,
        NEXT_DAY,
    ),
    "spam_risk_user_banned_from_posting": Explanation(
        "TikTok has banned this creator from posting",
        "The owner of the account asks TikTok's support.",
        OWNER,
        NEVER,
    ),
    "spam_risk_text": Explanation("TikTok judges the text risky", "Change the text.", AUTHOR, NEVER),
    "spam_risk": Explanation(
        "TikTok judges the request risky", "Look at the account in the TikTok app.", OWNER, NEVER
    ),
    # Not a reason of TikTok's: this provider records it.
    UPLOAD_INCOMPLETE: Explanation(
        "its last bytes never arrived",
        "The upload URL has expired; the next try sends it again.",
        NONE,
        BACKOFF,
    ),
}

_UNKNOWN_ADVICE = "Give TikTok's support the log_id."


def api_error(
    code: str, http_status: int, *, detail: str = "", log_id: str = "", retry_after: float | None = None
) -> ApiError:
    """Return the error for a code of TikTok's envelope; unknown ones are judged by their HTTP status."""
    # TikTok refuses with a status below 500: from there on it is a fault, whatever code comes with it.
    documented = API_CODES.get(code) if http_status < 500 else None
    entry = documented or _unknown(http_status, BACKOFF)
    return entry.error(
        entry.explanation,
        code=code,
        http_status=http_status,
        detail=detail,
        log_id=log_id,
        retry_after=retry_after,
    )


def oauth_error(
    error: str, http_status: int, *, detail: str = "", log_id: str = "", retry_after: float | None = None
) -> ApiError:
    """Return the error for the ``error`` value of the token endpoint."""
    entry = OAUTH_ERRORS.get(error) or _unknown(http_status)
    return entry.error(
        entry.explanation,
        code=error,
        http_status=http_status,
        detail=detail,
        log_id=log_id,
        retry_after=retry_after,
    )


def upload_error(http_status: int, *, log_id: str = "", retry_after: float | None = None) -> ApiError:
    """Return the error for the HTTP status of a refused chunk.

    An undocumented one can be a proxy's, and the upload goes on from TikTok's progress, so sending again can help.
    """
    entry = UPLOAD_STATUSES.get(http_status) or _unknown(http_status, BACKOFF)
    return entry.error(
        entry.explanation, code="", http_status=http_status, log_id=log_id, retry_after=retry_after
    )


def post_failed(publish_id: str, fail_reason: str) -> PostFailedError:
    """Return the error for a post that TikTok reports as FAILED."""
    explanation = FAIL_REASONS.get(fail_reason) or Explanation(
        "for a reason that TikTok does not document", "Look at the account in the TikTok app.", OWNER, NEVER
    )
    return PostFailedError(explanation, publish_id=publish_id, fail_reason=fail_reason)


def _unknown(http_status: int, retry: Retry = NEVER) -> Entry:
    """Return what an undocumented answer seems to mean. A relay can have made it of any answer of TikTok's, so it
    proves nothing.
    """
    if http_status == 429:
        entry = API_CODES["rate_limit_exceeded"]
        return Entry(entry.error, replace(entry.explanation, starts_nothing=False))
    if http_status >= 500:
        return API_CODES["internal_error"]
    meaning = "The answer is an error that TikTok does not document"
    return _entry(UndocumentedError, TIKTOK, retry, meaning, _UNKNOWN_ADVICE)
