"""What the operators have in common that deliver drafts to the creator's inbox (TikTok's "upload")."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from tiktok_provider.operators.base import TikTokPublishingOperator
from tiktok_provider.publishing.waiting.polling import WaitFor

if TYPE_CHECKING:
    from tiktok_provider.publishing.request import PostRequest

WaitForDraft = Literal["inbox", "posted"]


class TikTokDraftOperator(TikTokPublishingOperator):
    """Base of the operators for drafts; see ``TikTokUploadVideoOperator`` for the parameters."""

    template_fields: Sequence[str] = (*TikTokPublishingOperator.template_fields, "wait_for")
    parameter_types: ClassVar[Mapping[str, Any]] = {
        **TikTokPublishingOperator.parameter_types,
        "wait_for": WaitForDraft,
    }

    def __init__(self, *, wait_for: WaitForDraft | str = "inbox", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # Of its type once templates are rendered.
        self.wait_for: Any = wait_for

    def waits_for(self, request: "PostRequest") -> WaitFor:  # noqa: ARG002
        """Return what to wait for."""
        return self.wait_for  # type: ignore[no-any-return]
