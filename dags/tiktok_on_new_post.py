"""React to new posts: Airflow runs it when a task with the outlet `AssetAlias("tiktok_posts")` has published one.

It writes a sentence for each post. Put what you want to happen in its place: a message in a chat, a row in a sheet.
"""

import logging
from typing import Any

from airflow.sdk import DAG, task

from tiktok_provider.assets import PostEvent, posts_asset

log = logging.getLogger(__name__)


def sentence(post: PostEvent) -> str:
    """Return what has happened; `late` says that the post itself was told of before, or that no task has waited."""
    what = "is on TikTok by now" if post["late"] else "is on TikTok"
    return f"Post {post['post_key']} of {post['account']} {what}: {post['post_url'] or 'it has no link yet'}"


with DAG("tiktok_on_new_post", schedule=[posts_asset()], catchup=False, doc_md=__doc__, tags=["tiktok"]):

    @task
    def tell(triggering_asset_events: Any = None) -> list[str]:
        """Return a sentence for each post; one run can be about several."""
        sentences = [sentence(event.extra) for event in triggering_asset_events[posts_asset()]]
        for line in sentences:
            log.info(line)
        return sentences

    tell()
