"""What OpenLineage is told, asked for as Airflow's provider does it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.openlineage.extractors.base import DefaultExtractor

from tests.unit.conftest import CONN_ID, Creator, Task
from tests.unit.operators.test_publish_video import STATUS, publish, pull
from tiktok_provider.exceptions import PostFailedError
from tiktok_provider.operators.lineage import name_input


def names(datasets: Any) -> list[tuple[str, str]]:
    return [(dataset.namespace, dataset.name) for dataset in datasets]


def test_a_post_that_is_out_comes_from_its_file(creator: Creator, task: Task, clip: Path) -> None:
    operator = publish(clip)
    operator.execute(task.context)
    told = DefaultExtractor(operator).extract_on_complete(task)
    assert told
    assert names(told.inputs) == [("file", str(clip))]
    assert names(told.outputs) == [("tiktok", f"{CONN_ID}/{creator.sandbox.feed()[0]['post_id']}")]


@pytest.mark.usefixtures("creator")
def test_a_post_without_a_public_id_is_known_by_its_publish_id(task: Task, clip: Path) -> None:
    operator = publish(clip, privacy_level="SELF_ONLY")
    result = operator.execute(task.context)
    told = DefaultExtractor(operator).extract_on_complete(task)
    assert told
    assert names(told.outputs) == [("tiktok", f"{CONN_ID}/{result['publish_id']}")]


def test_a_task_that_has_failed_tells_of_its_media_alone(creator: Creator, task: Task, clip: Path) -> None:
    data = {"status": "FAILED", "fail_reason": "internal"}
    error = {"code": "ok", "message": "", "log_id": "L"}
    creator.sandbox.add_fault("status", path=STATUS, status=200, body={"data": data, "error": error})
    operator = publish(clip)
    with pytest.raises(PostFailedError):
        operator.execute(task.context)
    told = DefaultExtractor(operator).extract_on_failure(task)
    assert told
    assert (names(told.inputs), told.outputs) == ([("file", str(clip))], [])


def test_a_signed_url_is_told_without_its_query() -> None:
    operator = pull("https://media.example/spring/a.mp4?X-Amz-Signature=secret")
    told = DefaultExtractor(operator).extract_on_failure(None)
    assert told
    assert names(told.inputs) == [("https://media.example", "spring/a.mp4")]
    assert "secret" not in str(told)


@pytest.mark.parametrize(
    ("location", "name"),
    [
        ("/videos/a.mp4", ("file", "/videos/a.mp4")),
        ("file:///videos/a.mp4", ("file", "/videos/a.mp4")),
        ("s3://aws@bucket/a/b.mp4", ("s3://bucket", "a/b.mp4")),
        ("https://user:word@host:8443/a.mp4?sig=1#t", ("https://host:8443", "a.mp4")),
    ],
)
def test_files_are_named_as_other_tools_name_them(location: str, name: tuple[str, str]) -> None:
    assert name_input(location) == name


def test_nothing_of_openlineage_is_needed_to_parse_a_dag() -> None:
    script = (
        "import sys, tiktok_provider.operators.publish_video\n"
        "sys.exit('airflow.providers.openlineage.extractors' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)
