"""The DAG of the README is short; that it runs: tests/integration/test_readme.py."""

import ast
import re
from pathlib import Path

README = Path(__file__).resolve().parents[2] / "README.md"


def dag_of_the_readme() -> str:
    """Return the only Python code of the README."""
    [code] = re.findall(r"```python\n(.+?)```", README.read_text(), re.DOTALL)
    return str(code)


def test_the_dag_has_at_most_ten_lines_beside_its_imports() -> None:
    tree = ast.parse(dag_of_the_readme())
    lines = sum(
        node.end_lineno - node.lineno + 1
        for node in tree.body
        if not isinstance(node, ast.Import | ast.ImportFrom) and node.end_lineno
    )
    assert lines <= 10
