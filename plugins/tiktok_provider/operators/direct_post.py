"""What the operators have in common whose posts are visible at once (TikTok's "direct posts")."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from tiktok_provider.api.posting import PrivacyLevel
from tiktok_provider.operators.base import TikTokPublishingOperator
from tiktok_provider.operators.waiting import seconds
from tiktok_provider.publishing.waiting.polling import WaitFor

if TYPE_CHECKING:
    from tiktok_provider.publishing.request import PostRequest


class TikTokDirectPostOperator(TikTokPublishingOperator):
    """Base of the operators for direct posts; see ``TikTokPublishVideoOperator`` for the parameters."""

    template_fields: Sequence[str] = (
        *TikTokPublishingOperator.template_fields,
        "privacy_level",
        "allow_comment",
        "brand_content",
        "brand_organic",
        "is_aigc",
        "wait_for_post_id",
    )
    parameter_types: ClassVar[Mapping[str, Any]] = {
        **TikTokPublishingOperator.parameter_types,
        "privacy_level": PrivacyLevel,
        "allow_comment": bool,
        "brand_content": bool,
        "brand_organic": bool,
        "is_aigc": bool,
        "wait_for_post_id": bool | timedelta | int | float,
    }

    def __init__(
        self,
        *,
        privacy_level: str,
        allow_comment: bool | str = False,
        brand_content: bool | str = False,
        brand_organic: bool | str = False,
        is_aigc: bool | str = False,
        wait_for_post_id: bool | timedelta | float | str = timedelta(minutes=10),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.privacy_level = privacy_level
        # Of their types once templates are rendered.
        self.allow_comment: Any = allow_comment
        self.brand_content: Any = brand_content
        self.brand_organic: Any = brand_organic
        self.is_aigc: Any = is_aigc
        self.wait_for_post_id: Any = wait_for_post_id

    def waits_for(self, request: "PostRequest") -> WaitFor:
        """Return what to wait for: only posts that everybody may see get a public id."""
        if self.wait_for_post_id is False:
            return super().waits_for(request)
        if self.privacy_level == "PUBLIC_TO_EVERYONE":
            return "post_id"
        if self.wait_for_post_id is True:
            self.log.info(
                "Posts with %s get no public id: waiting until it is published.", self.privacy_level
            )
        return super().waits_for(request)

    @property
    def id_patience(self) -> float | None:
        """Seconds for which a post that is out is waited for because of its id; None: to the deadline."""
        return None if isinstance(self.wait_for_post_id, bool) else seconds(self.wait_for_post_id)
