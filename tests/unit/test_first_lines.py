"""Airflow shows about 85 columns of an error, so the first line of each says what happened and to what."""

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import tiktok_provider
from tiktok_provider.error_table import (
    API_CODES,
    FAIL_REASONS,
    OAUTH_ERRORS,
    UPLOAD_STATUSES,
    api_error,
    oauth_error,
    post_failed,
    upload_error,
)
from tiktok_provider.exceptions import TikTokError
from tiktok_provider.store.rate_limits import WHOSE_CAP

PACKAGE = Path(tiktok_provider.__file__).parent
COLUMNS = 85
PUBLISH_ID = "v_pub_file~v2-1.7512345678901234567"
TIKTOKS_WORDS = "The request post info is empty or incorrect, please check the documentation of the API"
# What stands in a message's place for a value, by the end of its expression; the longest that is usual.
USUAL = (
    (r"tokens_conn_id\(.*\)", "tiktok_summer_it.tokens"),
    (r"conn_id|other", "tiktok_summer_it"),
    (r"publish_id", PUBLISH_ID),
    (r"post_key|key", "fcde2b2edba56bf408601fb721fe9b5c"),
    (r"address", "http://airflow-api-server:8080"),
    (r"redirect_uri", "http://127.0.0.1:8400/callback/"),
    (r"origin|host", "https://open.tiktokapis.com"),
    (r"fields|wrong_fields\(.*\)", "publish_id"),
    (r"scope", "user.info.basic"),
    (r"location", "s3://aws@launches/2026-11-20.mp4"),
    (r"username", "summer.in.italy"),
    (r"meaning", "the resolution is outside TikTok's limits"),
    (r"moment_in\(.*\)", "20:45 UTC (23 h 42 min)"),
    (r"WHOSE_CAP\[.*\]", max(WHOSE_CAP.values(), key=len)),
    (r"endpoint", "creator_info"),
    (r"_name\(name\)", "access_expires_at"),
    (r"type\(error\).__name__", "OperationalError"),
    (r"_ALGORITHM|status|http_status|attempt|try_number|MAX_TRIES|generation", "200"),
    (r".*seconds.*|SKEW.*|waited|.*_LIMIT", "300"),
)
SIGNALS = ("AirflowFailException", "AirflowSensorTimeout", "DeferTask", "Violation")


def error_classes() -> set[str]:
    """Return the names of all classes of errors in the package."""
    for module in PACKAGE.rglob("*.py"):
        if "migrations" not in module.parts:
            parts = module.relative_to(PACKAGE).with_suffix("").parts
            import_module(".".join(("tiktok_provider", *parts)).removesuffix(".__init__"))
    return {found.__name__ for found in subclasses(TikTokError)} | set(SIGNALS)


def subclasses(kind: type) -> Iterator[type]:
    yield kind
    below: type
    for below in kind.__subclasses__():
        yield from subclasses(below)


def messages() -> Iterator[tuple[str, str]]:
    """Yield where each error of the package is made, and its text with usual values in it."""
    classes = error_classes()
    for module in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(module.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or not node.args:
                continue
            if node.func.id in classes and (text := shown(node)):
                yield f"{module.relative_to(PACKAGE)}:{node.lineno}", text


def shown(call: ast.Call) -> str:
    """Return the text of an error; empty if it is made elsewhere."""
    assert isinstance(call.func, ast.Name)
    if call.func.id == "Violation":
        field, value, limit = (filled(part) for part in call.args[:3])
        return f"{field} is {value}, allowed: {limit}"
    if call.func.id == "DeferTask":
        return f"Until 20:45 UTC (23 h 42 min): {filled(call.args[1])}."
    return filled(call.args[0])


def filled(node: ast.AST) -> str:
    """Return a text with usual values; of a list its first one."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(map(filled, parts))
        case ast.FormattedValue():
            return usual(ast.unparse(node.value), quoted=node.conversion == ord("r"))
        case ast.List(elts=[first, *_]):
            return filled(first)
        case ast.ListComp(elt=element):
            return filled(element)
        case ast.Name() | ast.Call() | ast.Attribute():
            return "" if isinstance(node, ast.Name) else usual(ast.unparse(node), quoted=False)
    return ""


def usual(expression: str, *, quoted: bool) -> str:
    found = next(
        (text for end, text in USUAL if re.fullmatch(rf"(?:.*[.(])?(?:{end})\)?", expression)), "a word"
    )
    return repr(found) if quoted else found


MESSAGES = dict(messages())


def test_it_finds_the_messages_of_the_package() -> None:
    assert len(MESSAGES) > 80


@pytest.mark.parametrize("place", MESSAGES)
def test_the_first_line_fits_into_what_airflow_shows(place: str) -> None:
    first = MESSAGES[place].partition("\n")[0]
    assert len(first) <= COLUMNS, f"{len(first)}: {first}"


@pytest.mark.parametrize(
    "error",
    [
        *(api_error(code, 400, detail=TIKTOKS_WORDS, log_id="2026112012") for code in [*API_CODES, "new"]),
        *(oauth_error(code, 400, detail=TIKTOKS_WORDS) for code in [*OAUTH_ERRORS, "new"]),
        *(upload_error(status) for status in [*UPLOAD_STATUSES, 418]),
        *(post_failed(PUBLISH_ID, reason) for reason in [*FAIL_REASONS, "new"]),
    ],
    ids=lambda error: getattr(error, "code", "") or getattr(error, "fail_reason", ""),
)
def test_the_first_line_of_each_error_of_tiktok_is_what_happened(error: TikTokError) -> None:
    first, *rest = str(error).splitlines()
    assert len(first) <= COLUMNS, f"{len(first)}: {first}"
    assert first.endswith(".")
    assert rest, "what to do"
    assert TIKTOKS_WORDS not in first
