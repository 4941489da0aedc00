"""The sensor: one question on the worker, then the triggerer."""

from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from airflow.sdk.exceptions import (
    AirflowRescheduleException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferred,
)

from tests.unit.conftest import Creator, Task, use_up
from tiktok_provider.error_table import FAIL_REASONS, post_failed
from tiktok_provider.exceptions import (
    InvalidInputError,
    PostFailedError,
    PostInInboxError,
    PostUncertainError,
)
from tiktok_provider.operators.publish_video import TikTokPublishVideoOperator
from tiktok_provider.publishing.waiting.polling import Outcome
from tiktok_provider.retry import TikTokRetryPolicy
from tiktok_provider.sensors.post_status import TikTokPostStatusSensor
from tiktok_provider.store.rate_limits import Endpoint

STATUS = "/v2/post/publish/status/fetch/"


@pytest.fixture
def publish_id(creator: Creator, clip: Path) -> str:  # noqa: ARG001  (it defines the Connection)
    """A video that TikTok has finished."""
    return send(clip)


@pytest.fixture
def slow_publish_id(creator: Creator, clip: Path) -> str:
    """A video that takes TikTok an hour."""
    creator.sandbox.set_switches(processing_seconds=3600)
    return send(clip)


def send(clip: Path) -> str:
    operator = TikTokPublishVideoOperator(
        task_id="p", video=clip, privacy_level="PUBLIC_TO_EVERYONE", wait=False
    )
    return operator.execute(Task().context)["publish_id"]


def sensor(publish_id: Any, **parameters: Any) -> TikTokPostStatusSensor:
    return TikTokPostStatusSensor(task_id="wait", publish_id=publish_id, **parameters)


@pytest.mark.parametrize("deferrable", [True, False])
def test_a_post_that_is_ready_needs_no_triggerer(
    creator: Creator, publish_id: str, task: Task, deferrable: bool
) -> None:
    result = sensor(publish_id, wait_for="post_id", deferrable=deferrable).execute(task.context)
    [post] = creator.sandbox.feed()
    assert result["post_ids"] == [post["post_id"]]
    assert result["post_url"] == task.xcom["tiktok_post_url"] == post["page_url"]


def test_a_post_that_is_not_ready_is_waited_for_in_the_triggerer(slow_publish_id: str, task: Task) -> None:
    with pytest.raises(TaskDeferred) as deferral:
        sensor(slow_publish_id, timeout=60.0).execute(task.context)
    _, arguments = deferral.value.trigger.serialize()
    assert arguments["deadline"] - arguments["started_at"] == 60
    assert deferral.value.timeout
    assert deferral.value.timeout > timedelta(seconds=60)


def test_the_event_of_the_triggerer_becomes_the_result(slow_publish_id: str, task: Task) -> None:
    operator = sensor(slow_publish_id)
    with pytest.raises(TaskDeferred):
        operator.execute(task.context)
    event = Outcome(slow_publish_id, "done", {"status": "PUBLISH_COMPLETE", "post_ids": ["7"]}).to_event()
    result = operator.execute_complete(task.context, event)
    assert (result["publish_id"], result["post_ids"]) == (slow_publish_id, ["7"])


@pytest.mark.parametrize(
    ("ending", "error"),
    [
        (Outcome("p", "failed", {"status": "FAILED", "fail_reason": "spam_risk"}), PostFailedError),
        (Outcome("p", "inbox", {"status": "SEND_TO_USER_INBOX"}), PostInInboxError),
        (Outcome("p", "deadline", {"status": "PROCESSING_UPLOAD"}), AirflowSensorTimeout),
        (Outcome("p", "refused", refusal={"message": "no token"}), PostUncertainError),
    ],
)
def test_each_bad_ending_has_its_own_error(
    publish_id: str, task: Task, ending: Outcome, error: type[Exception]
) -> None:
    operator = sensor(publish_id)
    with pytest.raises(error):
        operator.execute_complete(task.context, ending.to_event())


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"publish_id": None}, "publish_id is None"),
        ({"publish_id": " "}, "publish_id is ' ': a template or a data frame left no value"),
        (
            {"publish_id": "p", "wait_for": "done"},
            "wait_for is 'done', allowed: complete, post_id, inbox, posted",
        ),
    ],
)
def test_bad_parameters_are_named_before_anything_is_sent(
    creator: Creator, task: Task, parameters: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidInputError, match=said):
        sensor(**parameters).execute(task.context)
    assert creator.calls() == []


@pytest.mark.parametrize("deferrable", [True, False])
def test_a_fault_that_passes_costs_the_first_question_no_try(
    creator: Creator, slow_publish_id: str, task: Task, deferrable: bool
) -> None:
    creator.sandbox.add_fault("error", path=STATUS, code="rate_limit_exceeded")
    operator = sensor(slow_publish_id, deferrable=deferrable, timeout=60, poke_interval=0.01)
    if deferrable:
        with pytest.raises(TaskDeferred):
            operator.execute(task.context)
    else:
        assert not operator.poke(task.context)


@pytest.mark.parametrize("deferrable", [True, False])
def test_it_asks_nothing_when_the_calls_of_the_account_are_used_up(
    creator: Creator, publish_id: str, task: Task, deferrable: bool
) -> None:
    use_up(Endpoint.STATUS)
    before = creator.calls(STATUS)
    operator = sensor(publish_id, deferrable=deferrable, timeout=60)
    if deferrable:
        with pytest.raises(TaskDeferred):
            operator.execute(task.context)
    else:
        assert not operator.poke(task.context)
    assert creator.calls(STATUS) == before


def test_a_late_id_is_a_success_at_the_end_without_deferring_too(
    creator: Creator, clip: Path, task: Task
) -> None:
    creator.sandbox.set_switches(post_id_shape="absent")
    operator = sensor(send(clip), wait_for="post_id", deferrable=False, timeout=0.05, poke_interval=0.1)
    assert operator.execute(task.context)["post_ids"] == []


@pytest.mark.parametrize(
    ("wish", "ending"),
    [
        ("soft_fail", Outcome("p", "deadline")),
        ("never_fail", Outcome("p", "deadline")),
        ("never_fail", Outcome("p", "failed", {"status": "FAILED", "fail_reason": "spam_risk"})),
    ],
)
def test_a_sensor_that_is_to_skip_rather_than_fail_does_so(
    creator: Creator, task: Task, wish: str, ending: Outcome
) -> None:
    assert creator.open_id
    operator = sensor("p", **{wish: True})
    with pytest.raises(AirflowSkipException, match="Skipped instead of failed"):
        operator.execute_complete(task.context, ending.to_event())


def test_soft_fail_does_not_hide_a_post_that_failed(creator: Creator, task: Task) -> None:
    assert creator.open_id
    ending = Outcome("p", "failed", {"status": "FAILED", "fail_reason": "spam_risk"})
    with pytest.raises(PostFailedError):
        sensor("p", soft_fail=True).execute_complete(task.context, ending.to_event())


@pytest.mark.parametrize("wishes", [{}, {"soft_fail": True}, {"never_fail": True}])
def test_a_sensor_that_gives_its_slot_back_is_rescheduled_whatever_it_is_to_do_rather_than_fail(
    slow_publish_id: str, task: Task, wishes: dict[str, bool]
) -> None:
    operator = sensor(slow_publish_id, deferrable=False, mode="reschedule", poke_interval=60, **wishes)
    with pytest.raises(AirflowRescheduleException):
        operator.execute(task.context)


def test_without_deferring_airflows_own_timeout_applies(slow_publish_id: str, task: Task) -> None:
    with pytest.raises(AirflowSensorTimeout):
        sensor(slow_publish_id, deferrable=False, timeout=0.05, poke_interval=0.1).execute(task.context)


def test_what_tiktok_has_said_of_an_attempt_for_good_is_not_asked_again(creator: Creator, task: Task) -> None:
    data = {"status": "FAILED", "fail_reason": "internal"}
    body = {"data": data, "error": {"code": "ok", "message": "", "log_id": "fake"}}
    creator.sandbox.add_fault("status", path=STATUS, status=200, body=body)
    with pytest.raises(PostFailedError) as failure:
        TikTokPostStatusSensor(task_id="wait", publish_id="v_pub_file~1").execute(task.context)
    assert TikTokRetryPolicy().evaluate(failure.value, 1, 3).action.name == "FAIL"


MODES = [
    {"deferrable": True},
    {"deferrable": False, "mode": "poke"},
    {"deferrable": False, "mode": "reschedule"},
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fail_reason", [*FAIL_REASONS, "a_reason_that_is_new"])
def test_every_fail_reason_arrives_as_the_sentence_of_the_table(
    creator: Creator, task: Task, fail_reason: str, mode: dict[str, Any]
) -> None:
    data = {"status": "FAILED", "fail_reason": fail_reason}
    body = {"data": data, "error": {"code": "ok", "message": "", "log_id": "fake"}}
    creator.sandbox.add_fault("status", path=STATUS, status=200, body=body)
    with pytest.raises(PostFailedError) as failure:
        sensor("v_pub_file~1", **mode).execute(task.context)
    expected = post_failed("v_pub_file~1", fail_reason)
    assert str(failure.value) == str(expected)
    assert failure.value.fail_reason == fail_reason
    assert TikTokRetryPolicy().evaluate(failure.value, 1, 3).action.name == "FAIL"


def test_a_poking_sensor_keeps_its_slot_until_the_post_is_out(
    creator: Creator, slow_publish_id: str, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow.sdk.bases.sensor.time.sleep", creator.sandbox.advance)
    operator = sensor(slow_publish_id, deferrable=False, mode="poke", poke_interval=1200, timeout=7200)
    result = operator.execute(task.context)
    assert result["status"] == "PUBLISH_COMPLETE"
    assert len(creator.calls(STATUS)) == 4, "at once, and after 20, 40 and 60 minutes"


def test_a_rescheduled_sensor_gives_its_slot_back_between_two_questions(
    creator: Creator, slow_publish_id: str, task: Task
) -> None:
    wait: dict[str, Any] = {"deferrable": False, "mode": "reschedule", "poke_interval": 1800, "timeout": 7200}
    for _ in range(2):
        # Each time in a process of its own.
        with pytest.raises(AirflowRescheduleException):
            sensor(slow_publish_id, **wait).execute(task.context)
        creator.sandbox.advance(1800)
    result = sensor(slow_publish_id, **wait).execute(task.context)
    assert (result["publish_id"], result["status"]) == (slow_publish_id, "PUBLISH_COMPLETE")


@pytest.mark.parametrize("mode", MODES)
def test_an_id_may_come_from_a_template_or_a_mapped_list(
    publish_id: str, task: Task, mode: dict[str, Any]
) -> None:
    templated = sensor("{{ given }}", **mode)
    templated.render_template_fields(cast(Any, {"given": publish_id}))
    mapped = TikTokPostStatusSensor(
        task_id="wait", publish_id=publish_id, wait_for="post_id", _airflow_from_mapped=True, **mode
    )
    results = [operator.execute(task.context) for operator in (templated, mapped)]
    assert [result["publish_id"] for result in results] == [publish_id] * 2
