"""The link from a task to its post."""

from typing import TYPE_CHECKING

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, Context
    from airflow.sdk.types import TaskInstanceKey

POST_URL_KEY = "tiktok_post_url"


class TikTokPostLink(BaseOperatorLink):
    """Opens the post on TikTok; empty as long as TikTok has not given a post id."""

    name = "TikTok post"

    def get_link(self, operator: "BaseOperator", *, ti_key: "TaskInstanceKey") -> str:  # noqa: ARG002
        """Return the post's URL. Airflow asks for it in the process of the task, when that ends in any way.

        From XCom it could not be read without an error in the log of each task that has failed before its post.
        """
        return str(getattr(operator, POST_URL_KEY, ""))


def show_post(operator: "BaseOperator", context: "Context", url: str | None) -> None:
    """Let the link and readers of XComs find a post.

    :param url: None if TikTok has not given a post id yet.
    """
    setattr(operator, POST_URL_KEY, url or "")
    context["ti"].xcom_push(POST_URL_KEY, url or "")
