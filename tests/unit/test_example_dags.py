"""What the forms of the example DAGs offer."""

import runpy
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "dags"


def form(monkeypatch: pytest.MonkeyPatch, video: str | None) -> dict[str, Any]:
    if video is None:
        monkeypatch.delenv("TIKTOK_EXAMPLE_VIDEO", raising=False)
    else:
        monkeypatch.setenv("TIKTOK_EXAMPLE_VIDEO", video)
    dag = runpy.run_path(str(FOLDER / "tiktok_publish_video.py"))["dag"]
    assert dag.task_dict["publish"].tiktok_conn_id == "{{ params.conn_id }}"
    return {name: param.value for name, param in dag.params.items()}


def test_the_form_has_an_account_to_choose_and_the_video_that_the_environment_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    filled_in = form(monkeypatch, "/videos/spring.mp4")
    assert (filled_in["video"], filled_in["conn_id"]) == ("/videos/spring.mp4", "tiktok_default")


def test_without_it_a_person_has_to_name_a_video(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not isinstance(form(monkeypatch, None)["video"], str)
