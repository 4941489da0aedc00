"""Ask what a creator offers."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator

from tiktok_provider.exceptions import FewFrames, TikTokError
from tiktok_provider.operators.leave_worker import leave_worker
from tiktok_provider.publishing.parameters import TypedParameters
from tiktok_provider.retry import TikTokRetryPolicy

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.definitions.retry_policy import RetryPolicy


class TikTokCreatorInfoOperator(TypedParameters, BaseOperator):
    """Returns what the creator offers at this moment, as a dict.

    Its keys are ``creator_username``, ``creator_nickname``, ``creator_avatar_url`` (valid for two hours),
    ``privacy_level_options``, ``comment_disabled``, ``duet_disabled``, ``stitch_disabled`` and
    ``max_video_post_duration_sec``. A retry or a clear simply asks again. TikTok allows 20 calls a minute; when all
    tasks of the account have used them up, the task leaves its worker until there is one.

    Source: https://developers.tiktok.com/doc/content-posting-api-reference-query-creator-info

    :param tiktok_conn_id: a Connection of type ``tiktok`` with the scope ``video.publish``.
    :raises ConnectionSettingsError: the Connection lacks something; nothing was sent.
    :raises ApiError: TikTok refuses, for example because the creator has reached a cap.
    """

    template_fields: Sequence[str] = ("tiktok_conn_id",)
    parameter_types: ClassVar[Mapping[str, Any]] = {"tiktok_conn_id": str}
    ui_color = "#e6f9f8"

    def __init__(
        self,
        *,
        tiktok_conn_id: str = "tiktok_default",
        retries: int | None = 3,
        retry_policy: "RetryPolicy | None" = TikTokRetryPolicy(),  # noqa: B008  (it holds no state)
        **kwargs: Any,
    ) -> None:
        super().__init__(retries=retries, retry_policy=retry_policy, **kwargs)
        self.tiktok_conn_id = tiktok_conn_id
        self.check_literals()

    def execute(self, context: "Context") -> dict[str, Any]:
        """Ask TikTok, as soon as the account may."""
        with FewFrames():
            return self._execute(context)

    def _execute(self, context: "Context", outage_since: str | None = None) -> dict[str, Any]:
        from tiktok_provider.hooks.tiktok import TikTokHook
        from tiktok_provider.publishing.deferral import DeferTask
        from tiktok_provider.publishing.outage import Outage
        from tiktok_provider.publishing.post_key import claimant_of
        from tiktok_provider.publishing.rate_limit import RateLimiter
        from tiktok_provider.store.rate_limits import Endpoint

        outage = Outage(outage_since)
        self.check_parameters()
        with TikTokHook(self.tiktok_conn_id) as hook:
            try:
                rate_limiter = RateLimiter(hook.store, claimant_of(context).task, on_cap="fail")
                with rate_limiter.call(Endpoint.CREATOR_INFO) as take_again:
                    return hook.creator_info(take_again).model_dump(mode="json")
            except DeferTask as pause:
                leave_worker(self, pause, self.tiktok_conn_id)
            except TikTokError as error:
                leave_worker(self, outage.pause(error), self.tiktok_conn_id, outage_since=outage.since)

    def execute_again(
        self,
        context: "Context",
        event: Any = None,  # noqa: ARG002  (Airflow's)
        *,
        outage_since: str | None = None,
    ) -> dict[str, Any]:
        """Go on after the deferral."""
        with FewFrames():
            return self._execute(context, outage_since)
