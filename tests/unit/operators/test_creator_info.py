"""The operator that asks what a creator offers."""

import pytest
from airflow.sdk.exceptions import TaskDeferred

from tests.unit.conftest import Creator, Task, use_up
from tiktok_provider.exceptions import ApiError
from tiktok_provider.operators.creator_info import TikTokCreatorInfoOperator
from tiktok_provider.store.rate_limits import Endpoint

CREATOR_INFO = "/v2/post/publish/creator_info/query/"


def test_it_returns_what_the_creator_offers_as_plain_values(creator: Creator, task: Task) -> None:
    creator.sandbox.update_account(creator.open_id, private=True, max_video_post_duration_sec=180)
    offered = TikTokCreatorInfoOperator(task_id="ask").execute(task.context)
    # It says how long it is good for, which is not looked at here.
    avatar = offered.pop("creator_avatar_url")
    assert isinstance(avatar, str)
    assert avatar.startswith(f"{creator.sandbox.url}/cdn/mia.jpeg?")
    assert offered == {
        "creator_username": "mia",
        "creator_nickname": "Mia of Milan",
        "privacy_level_options": ["FOLLOWER_OF_CREATOR", "MUTUAL_FOLLOW_FRIENDS", "SELF_ONLY"],
        "comment_disabled": False,
        "duet_disabled": True,
        "stitch_disabled": True,
        "max_video_post_duration_sec": 180,
    }


def test_it_leaves_its_worker_when_the_calls_of_the_account_are_used_up(creator: Creator, task: Task) -> None:
    use_up(Endpoint.CREATOR_INFO)
    with pytest.raises(TaskDeferred) as deferral:
        TikTokCreatorInfoOperator(task_id="ask").execute(task.context)
    assert deferral.value.method_name == "execute_again"
    assert creator.calls() == []


def test_a_429_holds_back_the_other_tasks_of_the_account_too(creator: Creator) -> None:
    creator.sandbox.add_fault("status", path=CREATOR_INFO, status=429, headers={"Retry-After": "30"})
    for name in ("ask", "ask_too"):
        with pytest.raises(TaskDeferred):
            TikTokCreatorInfoOperator(task_id=name).execute(Task(task_id=name).context)
    assert creator.calls() == [CREATOR_INFO]


def test_a_cap_is_an_error_and_not_waited_out(creator: Creator, task: Task) -> None:
    creator.sandbox.add_fault("error", path=CREATOR_INFO, code="spam_risk_too_many_posts")
    with pytest.raises(ApiError, match="spam_risk_too_many_posts"):
        TikTokCreatorInfoOperator(task_id="ask").execute(task.context)
