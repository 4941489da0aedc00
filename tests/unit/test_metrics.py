"""What Airflow's metrics are told, by a backend that remembers it."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from airflow._shared.observability.metrics import stats as core_stats
from airflow.observability.stats import initialize as initialize_core
from airflow.sdk._shared.observability.metrics import stats as sdk_stats
from airflow.sdk.observability.stats import initialize

from tests.unit.conftest import CONN_ID, Creator, Task
from tests.unit.operators.test_publish_video import STATUS, publish
from tiktok_provider import metrics
from tiktok_provider.exceptions import PostFailedError, RateLimitedError
from tiktok_provider.hooks.tiktok import TikTokHook
from tiktok_provider.publishing.deferral import DeferTask
from tiktok_provider.publishing.rate_limit import RateLimiter
from tiktok_provider.store.rate_limits import Endpoint
from tiktok_provider.triggers.account_session import account_session

DOCS = Path(__file__).resolve().parents[2] / "docs" / "events.md"


class Backend:
    """A StatsD that remembers."""

    def __init__(self) -> None:
        self.counted: Counter[str] = Counter()
        self.took: dict[str, float] = {}

    def incr(self, stat: str, count: int = 1, **_: object) -> None:
        self.counted[stat] += count

    def timing(self, stat: str, dt: float, **_: object) -> None:
        self.took[stat] = dt

    def gauge(self, stat: str, value: float, **_: object) -> None:
        """Airflow's own are of no interest."""


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Backend:
    """What a task tells."""
    for name in ("_factory", "_backend", "_export_legacy_names"):
        monkeypatch.setattr(sdk_stats, name, getattr(sdk_stats, name))
        monkeypatch.setattr(core_stats, name, getattr(core_stats, name))
    found = Backend()
    initialize(factory=lambda: found, export_legacy_names=False)  # type: ignore[arg-type,return-value]
    return found


def ours(backend: Backend) -> dict[str, int]:
    return {name: number for name, number in backend.counted.items() if name.startswith("tiktok.")}


def test_a_post_is_counted_with_its_bytes_and_its_waiting_time(
    creator: Creator, task: Task, clip: Path, backend: Backend
) -> None:
    assert creator.open_id
    publish(clip).execute(task.context)
    assert ours(backend) == {metrics.POSTS: 1, metrics.BYTES_SENT: clip.stat().st_size}
    assert 0 < backend.took[metrics.WAITING_TIME] < 60_000, "milliseconds"


def test_a_post_that_fails_is_counted_by_its_reason(
    creator: Creator, task: Task, clip: Path, backend: Backend
) -> None:
    data = {"status": "FAILED", "fail_reason": "frame_rate_check_failed"}
    body = {"data": data, "error": {"code": "ok", "message": "", "log_id": "L"}}
    creator.sandbox.add_fault("status", path=STATUS, status=200, body=body)
    with pytest.raises(PostFailedError):
        publish(clip).execute(task.context)
    assert ours(backend) == {
        f"{metrics.POSTS_FAILED}.frame_rate_check_failed": 1,
        metrics.BYTES_SENT: clip.stat().st_size,
    }


def test_requests_that_are_sent_once_more_are_counted(creator: Creator, backend: Backend) -> None:
    creator.sandbox.add_fault("status", path="/v2/post/publish/creator_info/query/", status=502)
    with TikTokHook(CONN_ID) as hook:
        hook.creator_info()
    assert ours(backend) == {metrics.REQUESTS_REPEATED: 1}


def test_a_429_is_counted_on_a_worker(creator: Creator, backend: Backend) -> None:
    creator.sandbox.add_fault("error", path=STATUS, code="rate_limit_exceeded")
    with TikTokHook(CONN_ID) as hook:
        call = RateLimiter(hook.store, "task").call(Endpoint.STATUS)
        with pytest.raises(DeferTask), call as take_again:
            hook.post_status("v_pub_file~1", take_again)
    assert ours(backend) == {f"{metrics.RATE_LIMITED}.status": 1}


def test_a_429_is_counted_in_a_triggerer_where_airflows_core_keeps_the_metrics(
    creator: Creator, backend: Backend
) -> None:
    creator.sandbox.add_fault("error", path=STATUS, code="rate_limit_exceeded")
    in_triggerer = Backend()
    initialize_core(factory=lambda: in_triggerer, export_legacy_names=False)  # type: ignore[arg-type,return-value]

    async def ask() -> None:
        async with account_session(CONN_ID) as account:
            await account.fetch_status("v_pub_file~1")

    with pytest.raises(RateLimitedError):
        asyncio.run(ask())
    assert ours(in_triggerer) == {f"{metrics.RATE_LIMITED}.status": 1}
    assert ours(backend) == {}


def test_the_documentation_lists_every_metric() -> None:
    names = {
        value for value in vars(metrics).values() if isinstance(value, str) and value.startswith("tiktok.")
    }
    text = DOCS.read_text()
    assert {name for name in names if f"`{name}" not in text} == set()
