"""What a person must do does not stand above two dozen frames of ours; bugs keep theirs."""

import logging
import traceback
from typing import NoReturn

import pytest

from tests.unit.conftest import Creator, Task
from tiktok_provider.exceptions import FewFrames, InvalidInputError, TikTokError
from tiktok_provider.operators.publish_video import TikTokPublishVideoOperator
from tiktok_provider.sensors.post_status import TikTokPostStatusSensor


def deep(error: Exception, cause: Exception | None = None, depth: int = 2) -> NoReturn:
    if depth:
        deep(error, cause, depth - 1)
    raise error from cause


def left(error: Exception, cause: Exception | None = None) -> Exception:
    """Return an error as it leaves the task."""
    try:
        with FewFrames():
            deep(error, cause)
    except Exception as found:
        return found


def frames(error: BaseException) -> list[str]:
    return [frame.name for frame in traceback.extract_tb(error.__traceback__)]


def test_an_error_of_ours_leaves_with_the_frame_where_it_was_found() -> None:
    assert frames(left(TikTokError("closed"))) == ["deep"]


def test_all_its_frames_are_in_the_log_of_those_who_look_for_them(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="tiktok_provider.exceptions"):
        left(TikTokError("closed"))
    [record] = caplog.records
    assert record.exc_text or record.exc_info
    assert caplog.handler.format(record).count("in deep") == 3


def test_a_bug_keeps_all_frames() -> None:
    assert frames(left(KeyError("a bug"))) == ["left", *["deep"] * 3]


def test_another_librarys_error_below_ours_is_kept_and_one_of_ours_is_not() -> None:
    assert isinstance(left(TikTokError("closed"), OSError("disk")).__cause__, OSError)
    assert left(TikTokError("closed"), TikTokError("refused")).__cause__ is None


@pytest.mark.usefixtures("creator")
def test_the_operator_raises_with_one_frame_of_its_own(task: Task) -> None:
    publish = TikTokPublishVideoOperator(task_id="publish", video="/no/such.mp4", privacy_level="SELF_ONLY")
    with pytest.raises(InvalidInputError) as refusal:
        publish.execute(task.context)
    ours = [entry.name for entry in refusal.traceback if "tiktok_provider" in str(entry.path)]
    assert len(ours) == 1


def test_the_sensor_raises_with_one_frame_of_its_own(creator: Creator, task: Task) -> None:
    creator.take_access_away()
    sensor = TikTokPostStatusSensor(task_id="wait", publish_id="v_pub_file~1")
    with pytest.raises(TikTokError) as refusal:
        sensor.execute(task.context)
    ours = [entry.name for entry in refusal.traceback if "tiktok_provider" in str(entry.path)]
    assert len(ours) == 1
