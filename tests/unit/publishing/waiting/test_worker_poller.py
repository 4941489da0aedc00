"""How a worker asks where a post stands."""

import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.unit.conftest import CONN_ID, Creator, Task, use_up
from tiktok_provider.hooks.tiktok import TikTokHook
from tiktok_provider.operators.publish_video import TikTokPublishVideoOperator
from tiktok_provider.publishing.rate_limit import RateLimiter
from tiktok_provider.publishing.waiting.polling import Outcome, PollAgain, Watch
from tiktok_provider.publishing.waiting.worker_poller import WorkerPoller
from tiktok_provider.store.rate_limits import Endpoint


@pytest.fixture
def watch(creator: Creator, task: Task, clip: Path) -> Watch:
    """Of a video that is out and will never get a public id."""
    creator.sandbox.set_switches(post_id_shape="absent")
    operator = TikTokPublishVideoOperator(
        task_id="p", video=clip, privacy_level="PUBLIC_TO_EVERYONE", wait=False
    )
    publish_id = operator.execute(task.context)["publish_id"]
    return Watch(publish_id, "post_id", time.time(), time.time() + 3600)


def test_without_a_call_to_spare_it_comes_back_within_the_minute(watch: Watch) -> None:
    use_up(Endpoint.STATUS)
    with TikTokHook(CONN_ID) as hook:
        step = WorkerPoller(hook, RateLimiter(hook.store, "me"), watch).ask()
    assert isinstance(step, PollAgain)
    assert 10 < step.pause < 120


def test_two_minutes_after_the_deadline_it_waits_for_no_call_and_keeps_the_last_answer(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TikTokHook(CONN_ID) as hook:
        poller = WorkerPoller(hook, RateLimiter(hook.store, "me"), watch)
        assert isinstance(poller.ask(), PollAgain)
        use_up(Endpoint.STATUS)
        for late, kind in ((119, PollAgain), (121, Outcome)):
            clock = SimpleNamespace(time=lambda moment=watch.deadline + late: moment)
            monkeypatch.setattr("tiktok_provider.publishing.waiting.worker_poller.time", clock)
            step = poller.ask()
            assert isinstance(step, kind)
    assert isinstance(step, Outcome)
    assert (step.kind, step.status["status"]) == ("done", "PUBLISH_COMPLETE")
