"""One switch for everything that TikTok's public record leaves open, and a few for convenience."""

from dataclasses import dataclass
from typing import Literal


@dataclass
class Switches:
    """See the table in the sandbox's README for what each value does."""

    processing_seconds: float = 2
    moderation_seconds: float = 1
    pull_bytes_per_second: int | None = None
    allow_local_pulls: bool = True
    rate_limits: bool = True
    caps: bool = True
    rate_window_survives_refresh: bool = True
    init_bucket: Literal["per_endpoint", "shared"] = "per_endpoint"
    retry_after: bool = False
    code_lifetime_seconds: float = 300
    refresh_rotates: bool = True
    old_refresh_token: Literal["dies", "lives", "kills_all"] = "dies"
    old_access_token: Literal["lives", "dies"] = "lives"
    refresh_extends: bool = False
    sandbox_refresh: Literal["works", "refused"] = "works"
    oauth_error_status: Literal[400, 200] = 400
    revoke_body: Literal["json", "empty"] = "json"
    redirect_mismatch_error: Literal["invalid_grant", "invalid_request"] = "invalid_grant"
    pkce_on_web: Literal["optional", "required"] = "optional"
    default_scope_granted: bool = True
    params_code: Literal["invalid_params", "invalid_param"] = "invalid_params"
    unknown_fields: Literal["refused", "ignored"] = "refused"
    size_units: Literal["strict", "decimal", "binary"] = "strict"
    single_chunk_rule: Literal["enforced", "lax"] = "enforced"
    put_progress: Literal["last_index", "count", "absent"] = "last_index"
    put_body: Literal["empty", "text", "json"] = "empty"
    stored_range_again: Literal[416, 206] = 416
    cut_chunk: Literal["dropped", "kept", "stuck"] = "dropped"
    missing_content_range: Literal[400, 416] = 400
    status_progress: Literal["exact", "last_index", "lags", "absent"] = "exact"
    publish_id_retention_seconds: float | None = None
    unused_upload: Literal["stuck", "failed"] = "stuck"
    stuck_processing: bool = False
    post_id_shape: Literal["list", "empty", "absent", "scalar"] = "list"
    pending_drafts: Literal["window", "concurrent"] = "concurrent"
    branded_self_only: Literal["refused", "accepted"] = "refused"
    photo_1080p: Literal["short_side", "width"] = "short_side"
    unaudited_visibility_code: str = "unaudited_client_can_only_post_to_private_accounts"
    display_scope_error: Literal["scope_not_authorized", "scope_permission_missed"] = "scope_not_authorized"
    query_foreign_ids: Literal["omitted", "error"] = "omitted"
    cancel_file_upload: Literal["refused", "accepted"] = "refused"
    webhook_milliseconds: bool = False
    webhook_post_id: Literal["string", "number"] = "string"
    webhook_publish_type: Literal["DIRECT_PUBLISH", "DIRECT_POST"] = "DIRECT_PUBLISH"
