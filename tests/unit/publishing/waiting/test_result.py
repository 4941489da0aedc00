"""What a task returns of a post, from the record or from TikTok's last answer."""

from typing import Any

import pytest

from tiktok_provider.api.posting import PostStatus
from tiktok_provider.publishing.waiting.result import post_result, recorded_result
from tiktok_provider.store.posts import PostRecord, PostState


def record(state: PostState, **known: Any) -> PostRecord:
    fixed: dict[str, Any] = {
        "conn_id": "mia",
        "post_key": "sku-42",
        "generation": 1,
        "kind": "video",
        "source": "file",
    }
    return PostRecord(**fixed, fingerprint="f", state=state, **known)


@pytest.mark.parametrize(
    ("known", "status"),
    [
        ({"state": PostState.OUT, "status": {"status": "PUBLISH_COMPLETE"}}, "PUBLISH_COMPLETE"),
        ({"state": PostState.OUT, "resolved_by": "anna"}, "PUBLISH_COMPLETE"),
        ({"state": PostState.IN_INBOX, "resolved_by": "anna"}, "SEND_TO_USER_INBOX"),
        ({"state": PostState.FINISHING}, "PROCESSING_UPLOAD"),
    ],
)
def test_the_status_is_tiktoks_last_one_else_what_the_state_means(known: dict[str, Any], status: str) -> None:
    assert recorded_result(record(**known), reused=True)["status"] == status


def test_a_record_gives_every_field() -> None:
    out = record(PostState.OUT, publish_id="p.1", post_ids=("7",), post_url="https://tiktok/7")
    assert recorded_result(out, reused=True) == {
        "publish_id": "p.1",
        "status": "PUBLISH_COMPLETE",
        "post_ids": ["7"],
        "post_url": "https://tiktok/7",
        "account": "mia",
        "post_key": "sku-42",
        "reused": True,
    }


@pytest.mark.parametrize(
    ("profile_url", "post_ids", "url"),
    [
        ("https://tiktok/@mia", ["7", "8"], "https://tiktok/@mia/video/7"),
        ("https://tiktok/@mia", [], None),
        (None, ["7"], None),
    ],
)
def test_a_sensor_names_the_page_if_creator_and_id_are_known(
    profile_url: str | None, post_ids: list[str], url: str | None
) -> None:
    status = PostStatus.model_validate({"status": "PUBLISH_COMPLETE", "post_ids": post_ids})
    result = post_result("p.1", status, conn_id="mia", profile_url=profile_url)
    assert (result["post_url"], result["post_ids"], result["post_key"]) == (url, post_ids, None)
