"""What all publishing operators share, with a kind of post that is not the package's own."""

from pathlib import Path
from typing import Any, cast

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import TaskDeferred

from tests.unit.conftest import CONN_ID, Creator, Task
from tests.unit.publishing.test_publisher import INBOX_INIT
from tiktok_provider.exceptions import AccountClosedError, InvalidInputError
from tiktok_provider.hooks.store_access import open_store
from tiktok_provider.operators.draft import TikTokDraftOperator
from tiktok_provider.operators.publish_video import TikTokPublishVideoOperator
from tiktok_provider.publishing.media.video_file import VideoFile
from tiktok_provider.publishing.video_posts import DraftVideo
from tiktok_provider.store.posts import PostState
from tiktok_provider.store.rate_limits import Cap
from tiktok_provider.store.requests import CloseAccount


class DraftOperator(TikTokDraftOperator):
    """A new kind of post is one operator and one value."""

    def __init__(self, *, video: Path, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.video = video
        self.check_literals()

    def request(self) -> DraftVideo:
        return DraftVideo(VideoFile(self.video))


def draft(clip: Path, **parameters: Any) -> DraftOperator:
    return DraftOperator(task_id="draft", video=clip, **{"deferrable": False, **parameters})


def test_a_draft_is_done_when_it_is_in_the_inbox(creator: Creator, task: Task, clip: Path) -> None:
    result = draft(clip).execute(task.context)
    assert (result["status"], result["reused"]) == ("SEND_TO_USER_INBOX", False)
    assert task.record
    assert task.record.state == PostState.IN_INBOX
    calls = creator.calls()
    again = draft(clip).execute(task.next_try().context)
    assert again == {**result, "reused": True}
    assert creator.calls() == calls, "what is on record needs no call"


@pytest.mark.usefixtures("creator")
def test_the_trigger_waits_for_the_inbox(creator: Creator, task: Task, clip: Path) -> None:
    creator.sandbox.set_switches(processing_seconds=600)
    with pytest.raises(TaskDeferred) as left:
        draft(clip, deferrable=True).execute(task.context)
    assert left.value.trigger.serialize()[1]["wait_for"] == "inbox"


@pytest.mark.parametrize(("cap", "sent"), [(Cap.POSTS, True), (Cap.DRAFTS, False)])
def test_only_its_own_cap_stops_a_draft(
    creator: Creator, task: Task, clip: Path, cap: Cap, sent: bool
) -> None:
    with open_store(CONN_ID) as store:
        store.run(CloseAccount(cap))
    operator = draft(clip, on_cap="fail")
    if sent:
        operator.execute(task.context)
    else:
        with pytest.raises(AccountClosedError, match="drafts"):
            operator.execute(task.context)
    assert creator.calls(INBOX_INIT) == [INBOX_INIT] * sent


def test_every_wrong_parameter_of_a_mapped_task_is_in_one_error_and_nothing_is_sent(
    creator: Creator, task: Task, clip: Path
) -> None:
    wrong: dict[str, Any] = {
        "wait": "no",
        "deferrable": "False",
        "wait_for_post_id": "yes",
        "timeout": "90",
        "on_cap": "x",
        "on_changed_input": "y",
        "post_key": 42,
        "tiktok_conn_id": None,
        "is_aigc": "yes",
        "cover_timestamp_ms": "1.5",
        "privacy_level": "public",
    }
    operator = TikTokPublishVideoOperator(task_id="publish", video=clip, _airflow_from_mapped=True, **wrong)
    with pytest.raises(InvalidInputError) as refusal:
        operator.execute(task.context)
    fields = {violation.partition(" is ")[0] for violation in refusal.value.violations}
    assert fields == set(wrong)
    assert (creator.calls(), task.record) == ([], None)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("wait", "False"),
        ("on_cap", "x"),
        ("timeout", "90"),
        ("privacy_level", "public"),
        ("allow_comment", "true"),
        ("cover_timestamp_ms", "5"),
        ("post_key", "None"),
        ("tiktok_conn_id", ""),
    ],
)
def test_a_wrong_literal_is_refused_while_the_dag_is_parsed(clip: Path, parameter: str, value: Any) -> None:
    with pytest.raises(InvalidInputError, match=f"{parameter} is '{value}'"):
        TikTokPublishVideoOperator(
            task_id="publish", video=clip, **{"privacy_level": "SELF_ONLY", parameter: value}
        )


@pytest.mark.parametrize("native", [False, True])
def test_a_trigger_form_fills_in_every_switch_and_number(
    creator: Creator, task: Task, clip: Path, native: bool
) -> None:
    form = {
        "privacy": "PUBLIC_TO_EVERYONE",
        "comment": True,
        "duet": False,
        "cover": 500,
        "cap": "fail",
        "post_id": True,
    }
    with DAG("form", render_template_as_native_obj=native):
        operator = TikTokPublishVideoOperator(
            task_id="publish",
            video=clip,
            privacy_level="{{ params.privacy }}",
            allow_comment="{{ params.comment }}",
            allow_duet="{{ params.duet }}",
            allow_stitch="{{ params.comment | string | upper }}",
            brand_organic="{{ params.duet | string | lower }}",
            cover_timestamp_ms="{{ params.cover }}",
            on_cap="{{ params.cap }}",
            wait="{{ params.comment }}",
            wait_for_post_id="{{ params.post_id }}",
            deferrable=False,
        )
    operator.render_template_fields(cast(Any, {"params": form}))
    result = operator.execute(task.context)
    [post] = creator.sandbox.feed()
    assert [post[f"disable_{name}"] for name in ("comment", "duet", "stitch")] == [False, True, False]
    assert (post["brand_organic_toggle"], post["video_cover_timestamp_ms"]) == (False, 500)
    assert result["post_ids"], "it has waited for the id"


def test_a_text_that_says_false_is_false(creator: Creator, task: Task, clip: Path) -> None:
    creator.sandbox.set_switches(processing_seconds=600)
    operator = TikTokPublishVideoOperator(
        task_id="publish", video=clip, privacy_level="SELF_ONLY", wait="False", _airflow_from_mapped=True
    )
    assert operator.execute(task.context)["status"] == "PROCESSING_UPLOAD", "it did not wait"
