"""The parameters that all operators for videos have."""

from collections.abc import Mapping, Sequence
from os import PathLike, fsdecode
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import ObjectStoragePath

from tiktok_provider.operators.base import TikTokPublishingOperator

if TYPE_CHECKING:
    from tiktok_provider.publishing.media.medium import VideoMedia

VIDEO_FIELDS = ("video", "video_url")
VIDEO_TYPES: Mapping[str, Any] = {
    "video": str | PathLike | ObjectStoragePath | None,
    "video_url": str | None,
}


class VideoParameters(TikTokPublishingOperator):
    """A file that is uploaded, or a URL from which TikTok pulls; see ``TikTokPublishVideoOperator``."""

    template_fields: Sequence[str] = (*TikTokPublishingOperator.template_fields, *VIDEO_FIELDS)
    parameter_types: ClassVar[Mapping[str, Any]] = {
        **TikTokPublishingOperator.parameter_types,
        **VIDEO_TYPES,
    }

    def __init__(
        self,
        *,
        video: "str | PathLike[str] | ObjectStoragePath | None" = None,
        video_url: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if (video is None) == (video_url is None):
            raise ValueError(
                "Give either video, a file that is uploaded, or video_url, where TikTok pulls from."
            )
        self.video_url = video_url
        # Airflow renders texts and its own object-storage paths, but leaves a plain path as it is.
        self.video = fsdecode(video) if isinstance(video, PathLike) else video

    def _media(self) -> "VideoMedia":
        from tiktok_provider.publishing.media.video_file import VideoFile
        from tiktok_provider.publishing.media.video_url import VideoUrl

        return VideoUrl(self.video_url or "") if self.video is None else VideoFile(self.video)
