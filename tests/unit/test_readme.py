"""The DAG of the README is one that Airflow takes."""

import ast
import re
from pathlib import Path
from typing import Any

README = Path(__file__).resolve().parents[2] / "README.md"


def the_dag() -> str:
    [code] = re.findall(r"```python\n(.+?)```", README.read_text(), re.DOTALL)
    return str(code)


def test_the_dag_runs_and_publishes_a_video() -> None:
    namespace: dict[str, Any] = {}
    exec(compile(the_dag(), str(README), "exec"), namespace)  # our own README
    [task] = namespace["dag"].tasks
    assert task.task_type == "TikTokPublishVideoOperator"


def test_the_dag_has_at_most_ten_lines_beside_its_imports() -> None:
    tree = ast.parse(the_dag())
    lines = sum(
        node.end_lineno - node.lineno + 1
        for node in tree.body
        if not isinstance(node, ast.Import | ast.ImportFrom) and node.end_lineno
    )
    assert lines <= 10
