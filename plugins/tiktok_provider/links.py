"""The link from a task to its post."""

from typing import TYPE_CHECKING

from airflow.sdk import BaseOperatorLink
from airflow.sdk.execution_time.xcom import XCom

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

POST_URL_KEY = "tiktok_post_url"


class TikTokPostLink(BaseOperatorLink):
    """Opens the post on TikTok; empty as long as TikTok has not given a post id."""

    name = "TikTok post"

    def get_link(self, operator: "BaseOperator", *, ti_key: "TaskInstanceKey") -> str:  # noqa: ARG002
        """Return the post's URL, as the task has pushed it to XCom."""
        url = XCom.get_value(ti_key=ti_key, key=POST_URL_KEY)
        return str(url) if url else ""
