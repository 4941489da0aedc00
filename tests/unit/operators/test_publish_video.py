"""Publishing a video, with the waiting done on the worker."""

import hashlib
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from airflow.sdk import DAG, ObjectStoragePath
from airflow.sdk.definitions.retry_policy import ExceptionRetryPolicy
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred
from airflow.serialization.serialized_objects import DagSerialization

from tests.unit.conftest import CONN_ID, Creator, Task
from tiktok_provider.exceptions import (
    AccountClosedError,
    HostNotAllowedError,
    InvalidInputError,
    PostFailedError,
    ServiceError,
    TikTokError,
    UploadError,
)
from tiktok_provider.hooks.store_access import open_store
from tiktok_provider.operators.publish_video import TikTokPublishVideoOperator
from tiktok_provider.publishing.media.video_file import VideoFile
from tiktok_provider.publishing.post_record import StoredPost
from tiktok_provider.publishing.waiting.uncertain import UncertainPostError
from tiktok_provider.retry import TikTokRetryPolicy
from tiktok_provider.store.posts import (
    Claimant,
    Intend,
    PostClaim,
    PostRecord,
    PostState,
    Release,
    Source,
    Start,
)
from tiktok_provider.store.requests import ClaimPost, WritePost
from tiktok_sandbox.clips import make_clip

INIT = "/v2/post/publish/video/init/"
STATUS = "/v2/post/publish/status/fetch/"


def publish(video: Any, **parameters: Any) -> TikTokPublishVideoOperator:
    """Return an operator that waits on the worker, at TikTok's standard for an open post."""
    defaults = {"task_id": "publish", "privacy_level": "PUBLIC_TO_EVERYONE", "deferrable": False}
    return TikTokPublishVideoOperator(video=video, **{**defaults, **parameters})


def state(task: Task) -> PostState | None:
    """Return how far the task's post has come, as far as is on record."""
    return task.record.state if task.record else None


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_published_video_is_the_file_to_the_byte(creator: Creator, task: Task, clip: Path) -> None:
    result = publish(clip, title="Hello #world", wait_for_post_id=True).execute(task.context)
    [post] = creator.sandbox.feed()
    assert result == {
        "publish_id": post["publish_id"],
        "status": "PUBLISH_COMPLETE",
        "post_ids": [post["post_id"]],
        "post_url": f"{creator.sandbox.url}/@mia/video/{post['post_id']}",
        "account": "tiktok_default",
        "post_key": task.record.post_key if task.record else None,
        "reused": False,
    }
    assert (post["sha256"], post["title"]) == (sha256(clip), "Hello #world")
    assert task.xcom == {"publish_id": post["publish_id"], "tiktok_post_url": result["post_url"]}


def test_a_video_in_several_chunks_is_the_file_to_the_byte(
    creator: Creator, task: Task, large_clip: Path
) -> None:
    publish(large_clip).execute(task.context)
    assert [post["sha256"] for post in creator.sandbox.feed()] == [sha256(large_clip)]
    assert len(creator.calls("/upload")) == 2


def rendered(video: Any, **options: Any) -> TikTokPublishVideoOperator:
    """Return an operator whose templates Airflow has rendered."""
    with DAG("templates", **options):
        operator = publish(video)
    operator.render_template_fields(cast(Any, {"day": "clip", "none": None}))
    return operator


@pytest.mark.parametrize(
    "wrap", [str, Path, ObjectStoragePath, lambda path: ObjectStoragePath(f"file://{path}")]
)
@pytest.mark.parametrize("native", [False, True])
def test_every_kind_of_path_is_rendered_and_published(
    creator: Creator, task: Task, clip: Path, wrap: Callable[[str], Any], native: bool
) -> None:
    assert clip.stem == "clip"
    operator = rendered(wrap(str(clip.with_stem("{{ day }}"))), render_template_as_native_obj=native)
    operator.execute(task.context)
    [post] = creator.sandbox.feed()
    assert post["sha256"] == sha256(clip)


def test_a_path_of_another_task_or_of_a_mapped_list_is_published(
    creator: Creator, task: Task, clip: Path
) -> None:
    operator = publish("{{ day }}", _airflow_from_mapped=True)
    operator.video = ObjectStoragePath(f"file://{clip}")
    operator.execute(task.context)
    assert [post["sha256"] for post in creator.sandbox.feed()] == [sha256(clip)]


def test_a_dag_with_an_object_storage_path_can_be_serialized() -> None:
    with DAG("paths") as dag:
        publish(ObjectStoragePath("s3://aws@bucket/{{ ds }}.mp4"))
    [serialized] = DagSerialization.to_dict(dag)["dag"]["tasks"]
    assert serialized["__var"]["video"]["path"] == "s3://aws@bucket/{{ ds }}.mp4"


def test_everything_is_off_unless_it_is_asked_for(creator: Creator, task: Task, clip: Path) -> None:
    publish(clip).execute(task.context)
    [post] = creator.sandbox.feed()
    assert {name: post[name] for name in ("disable_comment", "disable_duet", "disable_stitch")} == {
        "disable_comment": True,
        "disable_duet": True,
        "disable_stitch": True,
    }
    assert {name: post[name] for name in ("brand_content_toggle", "brand_organic_toggle", "is_aigc")} == {
        "brand_content_toggle": False,
        "brand_organic_toggle": False,
        "is_aigc": False,
    }


def test_what_is_asked_for_arrives(creator: Creator, task: Task, clip: Path) -> None:
    publish(
        clip,
        allow_comment=True,
        allow_duet=True,
        allow_stitch=True,
        brand_content=True,
        brand_organic=True,
        is_aigc=True,
        cover_timestamp_ms=500,
    ).execute(task.context)
    [post] = creator.sandbox.feed()
    assert not any(post[f"disable_{name}"] for name in ("comment", "duet", "stitch"))
    assert all(post[name] for name in ("brand_content_toggle", "brand_organic_toggle", "is_aigc"))
    assert post["video_cover_timestamp_ms"] == 500


def test_an_interaction_that_the_creator_has_switched_off_stays_off_with_a_warning(
    creator: Creator, task: Task, clip: Path, caplog: pytest.LogCaptureFixture
) -> None:
    creator.sandbox.update_account(creator.open_id, duet_disabled=True)
    publish(clip, allow_comment=True, allow_duet=True).execute(task.context)
    [post] = creator.sandbox.feed()
    assert (post["disable_comment"], post["disable_duet"]) == (False, True)
    assert "allow_duet has no effect" in caplog.text


def test_a_deferring_task_has_left_its_publish_id_before(creator: Creator, task: Task, clip: Path) -> None:
    with pytest.raises(TaskDeferred) as deferral:
        publish(clip, deferrable=True, timeout=timedelta(hours=1)).execute(task.context)
    _, arguments = deferral.value.trigger.serialize()
    assert task.xcom["publish_id"] == arguments["publish_id"]
    assert arguments["deadline"] - arguments["started_at"] == 3600
    assert creator.connection["extra"]["access_token"] not in str(arguments)


def test_without_waiting_the_task_ends_with_the_last_byte(creator: Creator, task: Task, clip: Path) -> None:
    result = publish(clip, wait=False).execute(task.context)
    assert (result["status"], result["post_ids"]) == ("PROCESSING_UPLOAD", [])
    assert creator.calls(STATUS) == []


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"privacy_level": "EVERYONE"}, r"privacy_level is 'EVERYONE', allowed(?s:.)*PUBLIC_TO_EVERYONE, "),
        ({"title": "🎬" * 1101}, r"title is 2202 UTF-16 code units long, allowed: at most 2200"),
        ({"privacy_level": "SELF_ONLY", "brand_content": True}, "SELF_ONLY with brand_content"),
        ({"allow_comment": "False"}, "allow_comment is 'False', it must be of type bool"),
        ({"title": 2026}, "title is 2026, it must be of type str"),
        ({"video": 42}, "video is 42, it must be of type str or PathLike"),
        ({"cover_timestamp_ms": "500"}, "cover_timestamp_ms is '500', it must be of type int or None"),
        ({"cover_timestamp_ms": -1}, "cover_timestamp_ms is -1 ms"),
        ({"cover_timestamp_ms": 1_000_000}, "cover_timestamp_ms is 1000000 ms, allowed: 0 to 10"),
        ({"video": "/not/there.mp4"}, "/not/there.mp4 does not exist"),
    ],
)
def test_bad_parameters_are_named_before_anything_is_sent(
    creator: Creator, task: Task, clip: Path, parameters: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidInputError, match=said):
        publish(**{"video": clip, **parameters}).execute(task.context)
    assert (creator.calls(), task.record, task.xcom) == ([], None, {})


def test_all_local_findings_come_in_one_error(creator: Creator, task: Task, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "bad.mp4", seconds=1, width=320, height=240, fps=10, codec="mpeg4")
    with pytest.raises(InvalidInputError) as refusal:
        publish(clip, title="x" * 2201, privacy_level="SELF_ONLY", brand_content=True).execute(task.context)
    fields = [re.split(r" is ", violation)[0] for violation in refusal.value.violations]
    assert fields == [
        "title",
        "privacy_level",
        "video codec",
        "video width",
        "video height",
        "video frame rate",
    ]
    assert creator.calls() == []


def test_a_video_longer_than_this_creator_may_post_is_named_before_init(
    creator: Creator, task: Task, tmp_path: Path
) -> None:
    creator.sandbox.update_account(creator.open_id, max_video_post_duration_sec=2)
    clip = make_clip(tmp_path / "long.mp4", seconds=3)
    with pytest.raises(InvalidInputError, match=r"at most 2 seconds.*creator"):
        publish(clip).execute(task.context)
    assert (creator.calls(INIT), state(task)) == ([], PostState.CLAIMED)


def test_a_privacy_level_that_this_creator_does_not_offer_is_named_before_init(
    creator: Creator, task: Task, clip: Path
) -> None:
    creator.sandbox.update_account(creator.open_id, private=True)
    with pytest.raises(InvalidInputError, match=r"what mia offers now(?s:.)*FOLLOWER_OF_CREATOR, "):
        publish(clip).execute(task.context)
    assert (creator.calls(INIT), state(task)) == ([], PostState.CLAIMED)


def test_a_creator_at_the_cap_stops_before_init(creator: Creator, task: Task, clip: Path) -> None:
    creator.sandbox.update_account(creator.open_id, daily_post_cap=0)
    with pytest.raises(
        TikTokError, match=r"(?s)cap of API posts in 24 hours.*spam_risk_too_many_posts, HTTP 200"
    ):
        publish(clip, on_cap="fail").execute(task.context)
    assert creator.calls(INIT) == []


def test_a_cap_is_waited_for_in_the_triggerer_and_other_tasks_do_not_ask_again(
    creator: Creator, task: Task, clip: Path
) -> None:
    creator.sandbox.update_account(creator.open_id, daily_post_cap=0)
    with pytest.raises(TaskDeferred) as deferral:
        publish(clip, deferrable=True).execute(task.context)
    assert deferral.value.method_name == "execute_again"
    asked = len(creator.calls())
    other = replace(task, task_id="other")
    with pytest.raises(
        AccountClosedError, match=r"(?s)Nothing was sent.*creator's cap of API posts in 24 hours"
    ):
        publish(clip, on_cap="fail").execute(other.context)
    assert creator.calls(INIT) == []
    assert len(creator.calls()) == asked, "what TikTok has said to one task counts for all of the account"


def test_an_upload_host_that_is_not_tiktoks_gets_no_byte(creator: Creator, task: Task, clip: Path) -> None:
    creator.sandbox.add_fault(
        "status",
        path=INIT,
        status=200,
        body={
            "data": {
                "publish_id": "v_pub_file~v2-1.7",
                "upload_url": "https://evil.example/upload?upload_token=t0ken",
            },
            "error": {"code": "ok", "message": "", "log_id": "L"},
        },
    )
    with pytest.raises(
        HostNotAllowedError, match=r"evil\.example is neither TikTok's nor allowed"
    ) as failure:
        publish(clip).execute(task.context)
    assert "t0ken" not in str(failure.value)
    assert state(task) == PostState.FAILED


def test_a_refused_init_leaves_nothing_behind_and_the_next_try_may_ask_again(
    creator: Creator, task: Task, clip: Path
) -> None:
    creator.sandbox.add_fault("error", path=INIT, code="invalid_params")
    with pytest.raises(TikTokError, match="invalid_params"):
        publish(clip).execute(task.context)
    assert state(task) == PostState.FAILED
    publish(clip).execute(task.next_try().context)
    assert (state(task), len(creator.sandbox.feed())) == (PostState.OUT, 1)


@pytest.mark.parametrize("fault", [{"type": "lost_answer"}, {"type": "error", "code": "internal_error"}])
def test_a_lost_answer_to_the_init_of_a_file_is_asked_for_again(
    creator: Creator, task: Task, clip: Path, fault: dict[str, Any]
) -> None:
    creator.sandbox.add_fault(fault, path=INIT)
    with pytest.raises(TikTokError) as failure:
        publish(clip).execute(task.context)
    assert failure.value.retry == "soon, with growing delays"
    assert state(task) == PostState.INTENDED
    publish(clip).execute(task.next_try().context)
    assert len(creator.sandbox.feed()) == 1


def test_a_minute_limit_is_waited_out_by_all_tasks_of_the_account(
    creator: Creator, task: Task, clip: Path
) -> None:
    creator.sandbox.set_switches(retry_after=True)
    creator.sandbox.add_fault("error", path=INIT, code="rate_limit_exceeded")
    for waiting in (task, replace(task, task_id="other")):
        with pytest.raises(TaskDeferred) as deferral:
            publish(clip, deferrable=True).execute(waiting.context)
        assert deferral.value.method_name == "execute_again"
    assert len(creator.calls(INIT)) == 1


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("times", [1, 3])
def test_a_server_fault_in_the_middle_of_an_upload_costs_one_chunk(
    creator: Creator, task: Task, large_clip: Path, times: int
) -> None:
    creator.sandbox.add_fault("status", path="/upload", status=503, skip=1, times=times)
    publish(large_clip).execute(task.context)
    assert [post["sha256"] for post in creator.sandbox.feed()] == [sha256(large_clip)]
    assert len(creator.calls("/upload")) == 2 + times


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("again", [416, 206])
@pytest.mark.parametrize("progress", ["exact", "last_index", "lags", "absent"])
def test_a_lost_answer_to_the_last_byte_is_no_failure(
    creator: Creator, task: Task, clip: Path, progress: str, again: int
) -> None:
    creator.sandbox.set_switches(status_progress=progress, stored_range_again=again)
    creator.sandbox.add_fault("lost_answer", path="/upload", times=1)
    result = publish(clip).execute(task.context)
    assert result["status"] == "PUBLISH_COMPLETE"
    assert len(creator.sandbox.feed()) == 1


@pytest.mark.usefixtures("no_waiting")
def test_when_tiktok_stays_silent_after_the_last_byte_the_status_decides(
    creator: Creator, task: Task, clip: Path
) -> None:
    creator.sandbox.add_fault("lost_answer", path="/upload", times=None)
    assert publish(clip).execute(task.context)["status"] == "PUBLISH_COMPLETE"


@pytest.mark.usefixtures("no_waiting")
def test_a_chunk_that_never_arrives_fails_the_try_and_the_next_one_sends_it_to_the_same_publish_id(
    creator: Creator, task: Task, clip: Path
) -> None:
    creator.sandbox.set_switches(rate_limits=False)
    creator.sandbox.add_fault("status", path="/upload", status=503, times=None)
    with pytest.raises(ServiceError):
        publish(clip).execute(task.context)
    assert (creator.sandbox.feed(), state(task)) == ([], PostState.FINISHING)
    creator.sandbox.clear_faults()
    publish(clip).execute(task.next_try().context)
    assert (len(creator.sandbox.feed()), len(creator.calls(INIT))) == (1, 1)


def test_a_refused_last_chunk_fails_the_task_at_once_with_nothing_out(
    creator: Creator, task: Task, clip: Path
) -> None:
    creator.sandbox.add_fault("status", path="/upload", status=400, times=None)
    with pytest.raises(UploadError, match="refuses the headers or the length"):
        publish(clip).execute(task.context)
    assert (creator.sandbox.feed(), state(task)) == ([], PostState.FAILED)


def test_a_file_that_cannot_be_read_for_a_while_is_resumed_by_the_next_try(
    creator: Creator, task: Task, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pieces(*_: object) -> Iterator[bytes]:
        yield b"\x00" * 1000
        raise OSError("the disk is gone")

    with monkeypatch.context() as broken:
        broken.setattr("tiktok_provider.publishing.media.video_file.VideoFile.pieces", pieces)
        with pytest.raises(OSError, match="the disk is gone"):
            publish(clip).execute(task.context)
    publish(clip).execute(task.next_try().context)
    assert ([post["sha256"] for post in creator.sandbox.feed()], len(creator.calls(INIT))) == (
        [sha256(clip)],
        1,
    )


def test_a_file_that_changed_after_it_was_checked_is_not_sent(
    creator: Creator, task: Task, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = tmp_path / "rendered.mp4"
    video.write_bytes(clip.read_bytes())
    write_patiently = StoredPost.write_patiently

    def rendered_again(self: StoredPost, start: Start) -> PostRecord:
        video.write_bytes(clip.read_bytes() + b"\x00" * 1000)
        return write_patiently(self, start)

    monkeypatch.setattr(StoredPost, "write_patiently", rendered_again)
    with pytest.raises(InvalidInputError, match=r"rendered\.mp4 has changed since it was checked"):
        publish(video).execute(task.context)
    assert (creator.calls("/upload"), creator.sandbox.feed(), state(task)) == ([], [], PostState.FAILED)


def test_an_expired_upload_url_costs_a_new_attempt_and_nothing_else(
    creator: Creator, task: Task, large_clip: Path
) -> None:
    creator.sandbox.add_fault("expire_upload_url", path="/upload", skip=1)
    publish(large_clip).execute(task.context)
    assert [post["sha256"] for post in creator.sandbox.feed()] == [sha256(large_clip)]
    assert len(creator.calls(INIT)) == 2


@pytest.mark.usefixtures("no_waiting")
def test_an_upload_that_takes_no_more_bytes_costs_a_new_attempt_and_nothing_else(
    creator: Creator, task: Task, large_clip: Path
) -> None:
    creator.sandbox.set_switches(cut_chunk="stuck")
    creator.sandbox.add_fault("cut", path="/upload", after_bytes=3_000_000)
    publish(large_clip).execute(task.context)
    assert [post["sha256"] for post in creator.sandbox.feed()] == [sha256(large_clip)]
    assert len(creator.calls(INIT)) == 2
    assert len(creator.calls("/upload")) <= 6


def test_a_try_after_a_process_that_died_in_mid_upload_goes_on_where_tiktok_stands(
    creator: Creator, task: Task, large_clip: Path
) -> None:
    die_at_upload(creator, task, large_clip, after=1)
    assert state(task) == PostState.FINISHING
    publish(large_clip).execute(task.next_try().context)
    assert [post["sha256"] for post in creator.sandbox.feed()] == [sha256(large_clip)]
    assert len(creator.calls(INIT)) == 1
    assert len(creator.calls("/upload")) == 3, "two chunks, and the one that was cut off"


def test_a_file_that_was_rendered_again_after_a_cut_never_goes_into_the_same_upload(
    creator: Creator, task: Task, large_clip: Path, tmp_path: Path
) -> None:
    video = tmp_path / "video.mp4"
    video.write_bytes(large_clip.read_bytes())
    die_at_upload(creator, task, video, after=0)
    assert state(task) == PostState.UPLOADING
    video.write_bytes(large_clip.read_bytes() + b"\x00" * 1000)
    publish(video).execute(task.next_try().context)
    assert [post["sha256"] for post in creator.sandbox.feed()] == [sha256(video)]
    assert len(creator.calls(INIT)) == 2


class KilledError(BaseException):
    """Stands for a process that is no more: nothing handles it."""


def die_at_upload(creator: Creator, task: Task, video: Path, *, after: int) -> None:
    """Publish in a process that ends before it has sent the chunk after so many."""
    sent = 0
    pieces = VideoFile.pieces

    def until_killed(self: VideoFile, first: int, last: int, piece_size: int) -> Iterator[bytes]:
        nonlocal sent
        if sent == after:
            raise KilledError
        sent += 1
        return pieces(self, first, last, piece_size)

    with creator.monkeypatch.context() as patch:
        patch.setattr(VideoFile, "pieces", until_killed)
        with pytest.raises(KilledError):
            publish(video).execute(task.context)


def test_a_try_after_the_last_byte_waits_for_the_same_post(creator: Creator, task: Task, clip: Path) -> None:
    first = publish(clip, wait=False).execute(task.context)
    again = publish(clip).execute(task.next_try().context)
    assert (again["publish_id"], again["status"]) == (first["publish_id"], "PUBLISH_COMPLETE")
    assert (first["reused"], again["reused"]) == (False, True)
    assert len(creator.calls(INIT)) == 1


def test_a_clear_finds_the_publish_id_in_xcom_again(creator: Creator, task: Task, clip: Path) -> None:
    first = publish(clip, wait=False).execute(task.context)
    cleared = task.next_try()
    publish(clip).execute(cleared.context)
    assert cleared.xcom["publish_id"] == first["publish_id"]
    assert len(creator.sandbox.feed()) == 1


def test_a_post_that_is_out_is_returned_without_a_call_even_when_its_file_is_gone(
    creator: Creator, task: Task, clip: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    video = tmp_path / "video.mp4"
    video.write_bytes(clip.read_bytes())
    first = publish(video, wait_for_post_id=True).execute(task.context)
    video.unlink()
    calls = len(creator.calls())
    again = publish(video, wait_for_post_id=True, title="Other").execute(
        replace(task, run_id="again").context
    )
    assert again == {**first, "reused": True}
    assert len(creator.calls()) == calls
    assert "title is now 'Other', on record is ''" in caplog.text


def test_a_post_that_is_out_fails_the_task_over_a_change_if_that_is_wanted(
    creator: Creator, task: Task, clip: Path
) -> None:
    publish(clip).execute(task.context)
    with pytest.raises(InvalidInputError, match="title is now 'Other'"):
        publish(clip, title="Other", on_changed_input="fail").execute(task.next_try().context)
    assert len(creator.sandbox.feed()) == 1


def test_two_tasks_with_one_post_key_are_one_post_and_two_keys_are_two(
    creator: Creator, task: Task, clip: Path
) -> None:
    other = replace(task, logical_date=None)
    first = publish(clip, post_key="sku-42").execute(task.context)
    second = publish(clip, post_key="sku-42").execute(other.context)
    assert (second["publish_id"], second["reused"]) == (first["publish_id"], True)
    publish(clip, post_key="sku-43").execute(other.context)
    assert len(creator.sandbox.feed()) == 2


def test_a_task_whose_post_is_being_published_elsewhere_comes_back_later(
    creator: Creator, task: Task, clip: Path
) -> None:
    with open_store(CONN_ID) as store:
        store.run(ClaimPost("sku-42", claim_of("another task")))
    with pytest.raises(TaskDeferred) as deferral:
        publish(clip, post_key="sku-42", deferrable=True).execute(task.context)
    assert (deferral.value.method_name, creator.calls(INIT)) == ("execute_again", [])


def test_a_pull_whose_init_was_cut_off_is_left_to_a_person(creator: Creator, task: Task) -> None:
    claim = claim_of("another task", source="url")
    with open_store(CONN_ID) as store:
        generation = store.run(ClaimPost("sku-42", claim)).record.generation
        intend = Intend(source="url", fingerprint=claim.fingerprint, content=claim.content)
        store.run(WritePost("sku-42", generation, intend))
        store.run(WritePost("sku-42", generation, Release()))
    for waiting in (task, task.next_try()):
        with pytest.raises(UncertainPostError, match="airflow tiktok resolve tiktok_default sku-42 --posted"):
            pull("https://media.example.com/clip.mp4", post_key="sku-42").execute(waiting.context)
    assert creator.calls(INIT) == []


def test_a_pull_whose_answer_was_lost_is_uncertain_and_names_what_the_account_shows(
    creator: Creator, task: Task
) -> None:
    creator.sandbox.add_fault("lost_answer", path=INIT)
    with pytest.raises(UncertainPostError, match="The account shows no public video") as failure:
        pull(f"{creator.sandbox.url}/clip.mp4?signature=fake").execute(task.context)
    assert isinstance(failure.value, AirflowFailException)
    assert "fake" not in str(failure.value)
    assert state(task) == PostState.UNCERTAIN


def test_a_pull_that_tiktok_refuses_says_whose_rule_it_is(creator: Creator, task: Task) -> None:
    creator.sandbox.set_switches(allow_local_pulls=False)
    with pytest.raises(TikTokError, match="not under a domain or prefix that the TikTok app has verified"):
        pull("https://media.example.com/clip.mp4").execute(task.context)
    assert state(task) == PostState.FAILED


def test_a_pulled_video_is_published(creator: Creator, task: Task, clip: Path) -> None:
    # The sandbox serves what it was given, so it can be its own origin.
    publish(clip).execute(task.context)
    [first] = creator.sandbox.feed()
    pulled = pull(first["media_url"], post_key="pulled").execute(task.context)
    assert pulled["status"] == "PUBLISH_COMPLETE"
    assert [post["sha256"] for post in creator.sandbox.feed()] == [sha256(clip)] * 2


def test_either_a_file_or_a_url_is_wanted(clip: Path) -> None:
    for video, url in ((None, None), (str(clip), "https://media.example.com/clip.mp4")):
        with pytest.raises(ValueError, match="Give either video"):
            publish(video, video_url=url)


def pull(url: str, **parameters: Any) -> TikTokPublishVideoOperator:
    """Return an operator that lets TikTok pull, and waits on the worker."""
    defaults = {"task_id": "publish", "privacy_level": "PUBLIC_TO_EVERYONE", "deferrable": False}
    return TikTokPublishVideoOperator(video_url=url, **{**defaults, **parameters})


def claim_of(task: str, source: Source = "file") -> PostClaim:
    claimant = Claimant(task=task, try_number=1, try_id="x")
    return PostClaim(claimant=claimant, kind="video", source=source, fingerprint="f", content={})


def test_a_timeout_may_be_given_in_seconds(creator: Creator, task: Task, clip: Path) -> None:
    creator.sandbox.set_switches(processing_seconds=600)
    with pytest.raises(TaskDeferred) as deferral:
        publish(clip, deferrable=True, timeout=90).execute(task.context)
    _, arguments = deferral.value.trigger.serialize()
    assert arguments["deadline"] - arguments["started_at"] == 90


SIGNED_URL = "https://example.com/a.mp4?X-Amz-Signature=made-up-signature"


@pytest.mark.parametrize("wrapped", [[SIGNED_URL], {"url": SIGNED_URL}, SIGNED_URL.encode()])
def test_a_signed_url_that_a_template_has_wrapped_is_not_in_the_error(
    creator: Creator, task: Task, wrapped: Any
) -> None:
    with pytest.raises(InvalidInputError, match="video_url is of type") as caught:
        pull(wrapped).execute(task.context)
    assert "made-up-signature" not in str(caught.value)
    assert f"of type {type(wrapped).__name__}, it must be of type str or None" in str(caught.value)
    assert creator.calls() == []


def test_without_a_public_id_to_come_the_task_does_not_wait_for_one(
    creator: Creator, task: Task, clip: Path
) -> None:
    result = publish(clip, privacy_level="SELF_ONLY", wait_for_post_id=True).execute(task.context)
    assert (result["status"], result["post_ids"]) == ("PUBLISH_COMPLETE", [])
    assert len(creator.calls(STATUS)) == 1


@pytest.mark.parametrize(
    ("parameters", "minutes", "has_id"),
    [({}, 3, True), ({"wait_for_post_id": 60}, 1, False), ({"wait_for_post_id": False}, 0, False)],
)
def test_a_public_post_is_waited_for_a_while_longer_for_its_link(
    creator: Creator,
    task: Task,
    clip: Path,
    monkeypatch: pytest.MonkeyPatch,
    parameters: dict[str, Any],
    minutes: float,
    has_id: bool,
) -> None:
    creator.sandbox.freeze()
    creator.sandbox.set_switches(moderation_seconds=100)
    clock = Clock(creator.sandbox.advance)
    for module in ("publishing.waiting.worker_poller", "operators.base", "operators.waiting"):
        monkeypatch.setattr(f"tiktok_provider.{module}.time", clock)
    begun = clock.now
    result = publish(clip, **parameters).execute(task.context)
    assert (result["status"], bool(result["post_url"])) == ("PUBLISH_COMPLETE", has_id)
    assert clock.now - begun <= 60 * minutes + 1


def test_a_video_that_tiktok_refuses_afterwards_fails_with_its_reason(
    creator: Creator, task: Task, clip: Path
) -> None:
    creator.sandbox.add_fault(
        "status",
        path=STATUS,
        status=200,
        body={
            "data": {"status": "FAILED", "fail_reason": "frame_rate_check_failed"},
            "error": {"code": "ok", "message": "", "log_id": "L"},
        },
    )
    with pytest.raises(PostFailedError, match="frame_rate_check_failed"):
        publish(clip).execute(task.context)
    assert state(task) == PostState.FAILED, "nothing is out, so a cleared task makes a new attempt"
    publish(clip).execute(task.next_try().context)
    assert (state(task), len(creator.calls(INIT))) == (PostState.OUT, 2)


def test_a_post_that_never_ends_is_uncertain_at_the_deadline_and_a_clear_waits_on(
    creator: Creator, task: Task, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    creator.sandbox.set_switches(stuck_processing=True, rate_limits=False)
    clock = Clock()
    for module in ("publishing.waiting.worker_poller", "operators.base", "operators.waiting"):
        monkeypatch.setattr(f"tiktok_provider.{module}.time", clock)
    with pytest.raises(UncertainPostError, match=r"had not finished at the deadline.*PROCESSING"):
        publish(clip, timeout=timedelta(minutes=1)).execute(task.context)
    assert 10 < len(creator.calls(STATUS)) < 25
    assert state(task) == PostState.UNCERTAIN
    creator.sandbox.set_switches(stuck_processing=False)
    again = publish(clip).execute(task.next_try().context)
    assert (again["status"], again["reused"], len(creator.calls(INIT))) == ("PUBLISH_COMPLETE", True, 1)


class Clock:
    """A clock that moves only when somebody sleeps."""

    def __init__(self, also: Callable[[float], object] = lambda seconds: None) -> None:  # noqa: ARG005
        self.now = time.time()
        self._also = also

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self._also(seconds)


def test_a_users_own_retries_and_policy_win_over_ours(clip: Path) -> None:
    assert (publish(clip).retries, type(publish(clip).retry_policy)) == (3, TikTokRetryPolicy)
    assert publish(clip, retries=0).retries == 0
    policy = ExceptionRetryPolicy(rules=[])
    with DAG("own", default_args={"retries": 7, "retry_policy": policy}):
        task = publish(clip)
    assert (task.retries, task.retry_policy) == (7, policy)
