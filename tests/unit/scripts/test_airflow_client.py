"""Log entries as a person reads them."""

from typing import Any

import pytest

from airflow_client import log_line


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        ({"level": "info", "event": "Uploaded 5 MB"}, "info Uploaded 5 MB"),
        ({"event": "::group::Pre Execute"}, "::group::Pre Execute"),
        (
            {
                "level": "error",
                "event": "Task failed with exception",
                "error_detail": [{"exc_type": "InvalidInputError", "exc_value": "video codec mpeg4"}],
            },
            "error Task failed with exception InvalidInputError: video codec mpeg4",
        ),
        ({"level": "error", "event": "Task failed", "error_detail": None}, "error Task failed"),
    ],
)
def test_a_log_entry_is_one_line_with_its_error(entry: dict[str, Any], line: str) -> None:
    assert log_line(entry) == line
