"""What a person reads while the demo runs."""

import io
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from narration import Narrator, StepError


@pytest.fixture
def output() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def narrator(output: io.StringIO, tmp_path: Path) -> Narrator:
    return Narrator(Console(file=output, force_terminal=False, width=20), tmp_path / "demo.log")


def test_a_failed_step_names_itself_the_reason_and_the_log(narrator: Narrator, tmp_path: Path) -> None:
    with pytest.raises(StepError) as caught, narrator.step("Start Airflow", tmp_path / "airflow.log"):
        raise ValueError("the scheduler ended with 1")
    assert caught.value.step == "Start Airflow"
    assert caught.value.reason == "the scheduler ended with 1"
    assert caught.value.log == tmp_path / "airflow.log"


def test_a_step_without_a_log_keeps_the_traceback_in_the_common_one(
    narrator: Narrator, tmp_path: Path
) -> None:
    with pytest.raises(StepError) as caught, narrator.step("Make a video"):
        raise KeyError
    assert caught.value.reason == "KeyError"
    assert caught.value.log == tmp_path / "demo.log"
    assert "Traceback" in caught.value.log.read_text()


def test_lines_without_a_terminal_are_plain_and_whole(narrator: Narrator, output: io.StringIO) -> None:
    with narrator.step("Check [the] video"):
        narrator.say("a line that is longer than twenty characters")
    first, second, third = output.getvalue().splitlines()
    assert first == "Check [the] video ..."
    assert second == "a line that is longer than twenty characters"
    assert third.startswith("Check [the] video: done in ")


def test_progress_without_a_terminal_is_told_now_and_then(
    narrator: Narrator, output: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([0.0, 0.5, 1.0, 2.4, 2.5, 9.0, 9.5])
    monkeypatch.setattr("narration.time", SimpleNamespace(monotonic=lambda: next(times)))
    with narrator.step("Publish"):
        for detail in ("at once", "too soon", "still too soon", "in time", "in time"):
            narrator.update(detail)
    assert output.getvalue().splitlines()[1:-1] == ["  at once", "  in time"]
