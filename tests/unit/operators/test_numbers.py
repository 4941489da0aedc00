"""Numbers of accounts and videos through the sandbox: in XCom, or as JSON Lines."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from airflow.sdk.exceptions import TaskDeferred

from tests.unit.conftest import CONN_ID, Creator, Task
from tiktok_provider.api.chunks import plan_chunks
from tiktok_provider.api.posting import VideoPost, file_source, init_video
from tiktok_provider.exceptions import ConnectionSettingsError, InvalidInputError
from tiktok_provider.hooks.tiktok import TikTokHook
from tiktok_provider.operators.accounts import TikTokAccountStatsOperator
from tiktok_provider.operators.videos import TikTokListVideosOperator, TikTokVideoStatsOperator

LIST, QUERY, USER = "/v2/video/list/", "/v2/video/query/", "/v2/user/info/"

pytestmark = pytest.mark.usefixtures("no_waiting")


def grant(creator: Creator, scope: str) -> None:
    tokens = creator.sandbox.issue_tokens(creator.app, creator.account, scope=scope)
    given = {"access_token": tokens.access_token, "refresh_token": tokens.refresh_token}
    creator.connect(extra={**given, "scope": tokens.scope})


def posts(creator: Creator, clip: Path, number: int) -> list[str]:
    """Put videos on the account, an hour apart, and return their ids, the newest first."""
    creator.sandbox.set_switches(caps=False, rate_limits=False)
    content = clip.read_bytes()
    post = VideoPost(privacy_level="PUBLIC_TO_EVERYONE")
    headers = {
        "Content-Type": "video/mp4",
        "Content-Range": f"bytes 0-{len(content) - 1}/{len(content)}",
    }
    with TikTokHook(CONN_ID) as hook:
        for _ in range(number):
            started = hook.run(init_video(post, file_source(plan_chunks(len(content))), lambda: None))
            httpx.put(str(started.upload_url), content=content, headers=headers).raise_for_status()
            creator.sandbox.advance(3600)
    return [post["post_id"] for post in creator.sandbox.feed()][::-1]


def test_an_account_is_one_row_of_what_its_scopes_cover(creator: Creator, task: Task) -> None:
    grant(creator, "user.info.basic,user.info.stats")
    rows: Any = TikTokAccountStatsOperator(task_id="stats").execute(task.context)
    [row] = rows
    assert (row["account"], row["display_name"], row["video_count"]) == ("tiktok_default", "Mia of Milan", 0)
    assert "username" not in row
    assert datetime.fromisoformat(row["snapshot_at"]).tzinfo


def test_an_account_without_the_scope_is_told_so_and_nothing_is_asked(creator: Creator, task: Task) -> None:
    grant(creator, "user.info.basic")
    with pytest.raises(ConnectionSettingsError, match=r"lacks the scope 'user\.info\.stats'"):
        TikTokAccountStatsOperator(task_id="stats").execute(task.context)
    assert creator.calls(USER) == []


def test_all_pages_are_read_the_newest_video_first(creator: Creator, task: Task, clip: Path) -> None:
    ids = posts(creator, clip, 22)
    rows: Any = TikTokListVideosOperator(task_id="list").execute(task.context)
    assert [row["id"] for row in rows] == ids
    assert {"view_count", "like_count", "share_url", "create_time"} <= rows[0].keys()
    assert len(creator.calls(LIST)) == 2
    rows = TikTokListVideosOperator(task_id="list", max_videos=3).execute(task.context)
    assert [row["id"] for row in rows] == ids[:3]


@pytest.mark.parametrize("as_text", [False, True])
def test_videos_since_a_time_are_read(creator: Creator, task: Task, clip: Path, as_text: bool) -> None:
    ids = posts(creator, clip, 3)
    since = datetime.fromtimestamp(creator.sandbox.now(), UTC) - timedelta(minutes=150)
    given = since.isoformat() if as_text else since
    rows: Any = TikTokListVideosOperator(task_id="list", since=given).execute(task.context)
    assert [row["id"] for row in rows] == ids[:2]


def test_a_time_that_is_none_is_refused_before_anything_is_asked(creator: Creator, task: Task) -> None:
    with pytest.raises(InvalidInputError, match="since is 'yesterday'"):
        TikTokListVideosOperator(task_id="list", since="yesterday").execute(task.context)
    assert creator.calls() == []


def test_videos_are_asked_for_by_twenty_and_those_that_are_not_shown_are_named(
    creator: Creator, task: Task, clip: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ids = posts(creator, clip, 21)
    operator = TikTokVideoStatsOperator(task_id="stats", post_ids=[*ids, ids[0], "7000000000000000404"])
    rows: Any = operator.execute(task.context)
    assert sorted(row["id"] for row in rows) == sorted(ids)
    assert len(creator.calls(QUERY)) == 2
    assert "7000000000000000404" in caplog.text


def test_rows_are_written_as_json_lines_and_replaced_by_a_retry(
    creator: Creator, task: Task, clip: Path, tmp_path: Path
) -> None:
    [post_id] = posts(creator, clip, 1)
    output = tmp_path / "stats" / "2026-12-01.jsonl"
    for _ in range(2):
        done = TikTokListVideosOperator(task_id="list", write_to=str(output)).execute(task.context)
        assert done == {"written_to": str(output), "rows": 1}
    [line] = output.read_text().splitlines()
    assert json.loads(line)["id"] == post_id
    assert [path.name for path in output.parent.iterdir()] == [output.name]


@pytest.mark.parametrize("fault", [{"status": 503}, {"status": 429, "headers": {"Retry-After": "30"}}])
def test_an_outage_and_a_429_are_waited_out_away_from_the_worker(
    creator: Creator, task: Task, monkeypatch: pytest.MonkeyPatch, fault: dict[str, Any]
) -> None:
    monkeypatch.setenv("AIRFLOW__TIKTOK__OUTAGE_PATIENCE", "7200")
    creator.sandbox.add_fault("status", path=USER, times=None, **fault)
    with pytest.raises(TaskDeferred) as left:
        TikTokAccountStatsOperator(task_id="stats").execute(task.context)
    creator.sandbox.clear_faults()
    kept = left.value.kwargs or {}
    assert TikTokAccountStatsOperator(task_id="stats").execute_again(task.context, **kept)
