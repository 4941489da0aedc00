"""Numbers of an account."""

from typing import TYPE_CHECKING, Any

from tiktok_provider.operators.rows import Row, TikTokRowsOperator

if TYPE_CHECKING:
    from tiktok_provider.hooks.tiktok import TikTokHook


class TikTokAccountStatsOperator(TikTokRowsOperator):
    """Reads profile and numbers of an account: one row.

    Its keys are ``account``, ``snapshot_at``, and what the granted scopes cover: ``follower_count``,
    ``following_count``, ``likes_count`` and ``video_count`` (``user.info.stats``, which is needed), ``username``,
    ``bio_description``, ``profile_deep_link`` and ``is_verified`` (``user.info.profile``), ``open_id``, ``union_id``,
    ``avatar_url`` and ``display_name`` (``user.info.basic``).

    Source: https://developers.tiktok.com/doc/tiktok-api-v2-get-user-info

    :param write_to: where to write the row as JSON Lines, such as
        ``s3://aws_default@bucket/accounts/{{ ds }}.jsonl``; the task then returns ``{"written_to", "rows"}``. None:
        the row is in XCom. Templated.
    :param tiktok_conn_id: a Connection of type ``tiktok`` with the scope ``user.info.stats``. Templated.
    :raises ConnectionSettingsError: the scope was not granted; nothing was asked.
    :raises ApiError: TikTok refuses.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.check_literals()

    def rows(self, hook: "TikTokHook") -> list[Row]:
        """Read the fields that the granted scopes cover."""
        from tiktok_provider.api.accounts import FIELDS_OF_SCOPE, STATS_SCOPE

        hook.require_scope(STATS_SCOPE)
        # Where it is not known what was granted, what is needed is asked for alone.
        scopes = hook.granted_scopes or {STATS_SCOPE}
        fields = [field for scope, names in FIELDS_OF_SCOPE.items() if scope in scopes for field in names]
        return [hook.user_info(fields).model_dump(mode="json", exclude_none=True)]
