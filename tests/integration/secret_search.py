"""Looks for secrets, in every form in which they could have been written, in all that an Airflow leaves behind."""

import json
import threading
from base64 import b64encode, urlsafe_b64encode
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from configparser import RawConfigParser
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, quote_plus

import psutil  # type: ignore[import-untyped]
from cryptography.fernet import Fernet
from sqlalchemy import Engine, create_engine, inspect, text

from local_airflow import LocalAirflow

ARGUMENTS = "process arguments"


def json_escaped(value: str) -> str:
    """Return the value as it stands between the quotes of a JSON text."""
    return json.dumps(value)[1:-1]


def url_encoded(value: str) -> str:
    """Return the value with everything encoded that a URL may have encoded."""
    return quote(value, safe="")


def in_base64(offset: int) -> Callable[[str], str]:
    """Return how base64 writes the value after so many other bytes, and before some more."""
    return lambda value: b64encode(b"x" * offset + value.encode() + b"xyz").decode()


# How somebody may write a secret.
ENCODINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "URL-encoded": url_encoded,
    "JSON-escaped": json_escaped,
    **{f"base64 at {offset}": in_base64(offset) for offset in range(3)},
}


def needles(secret: str) -> frozenset[bytes]:
    """Return all texts of which one is there if the secret is, also if a form of it was put into JSON or a URL."""
    forms = {secret, repr(secret)[1:-1], *_base64_forms(secret.encode())}
    # An address in a JSON text within a JSON text: so far it goes in logs.
    for wrappers in ((_json_forms, _url_forms), (_json_forms, _url_forms), (_json_forms,)):
        forms |= {again for form in forms for wrapper in wrappers for again in wrapper(form)}
    return frozenset(form.encode() for form in forms)


def _url_forms(value: str) -> Iterator[str]:
    for encoded in (quote(value, safe=""), quote(value), quote(value, safe="!*'()"), quote_plus(value)):
        yield encoded
        # The hexadecimal digits may be small ones.
        parts = encoded.split("%")
        yield "%".join([parts[0], *(part[:2].lower() + part[2:] for part in parts[1:])])


def _json_forms(value: str) -> Iterator[str]:
    yield json_escaped(value)
    yield json.dumps(value, ensure_ascii=False)[1:-1]


def _base64_forms(value: bytes) -> Iterator[str]:
    for offset in range(3):
        # What also depends on the bytes before and after is cut off.
        first, end = -(-offset * 8 // 6), (offset + len(value)) * 8 // 6
        for encode in (b64encode, urlsafe_b64encode):
            yield encode(b"\0" * offset + value)[first:end].decode()


@dataclass
class Findings:
    """All that was seen, by place: ``table.column``, a file's path below AIRFLOW_HOME, or process arguments."""

    seen: dict[str, set[bytes]] = field(default_factory=lambda: defaultdict(set))

    def add(self, places: Iterable[tuple[str, bytes]]) -> None:
        """Take in what is at these places now."""
        for place, content in places:
            self.seen[place].add(content)

    def places_of(self, secret: str) -> set[str]:
        """Return where the secret is, in whatever form."""
        wanted = needles(secret)
        return {
            place
            for place, contents in self.seen.items()
            if any(needle in content for content in contents for needle in wanted)
        }


class Watch:
    """Context manager: looks at tables and processes twice a second, and at all files in the end.

    What lives for a moment only, such as a trigger or a process, would not be there afterwards.
    """

    def __init__(self, airflow: LocalAirflow) -> None:
        self.violations = Findings()
        self._home = airflow.home
        self._engine = create_engine(airflow.env["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
        self._fernet = Fernet(fernet_key(airflow.home))
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look_until_the_end)
        self._problems: list[Exception] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()
        self._engine.dispose()
        if self._problems:
            raise self._problems[0]
        self.violations.add(files(self._home))

    def _look_until_the_end(self) -> None:
        try:
            while not self._end.wait(0.5):
                self._look()
            self._look()
        except Exception as error:
            self._problems.append(error)

    def _look(self) -> None:
        self.violations.add(arguments())
        self.violations.add(rows(self._engine, self._fernet))


def files(home: Path) -> Iterator[tuple[str, bytes]]:
    """Return the content of all files: logs, configuration, and where it is SQLite the database as it lies there."""
    for path in home.rglob("*"):
        if path.is_file() and not path.is_symlink():
            yield str(path.relative_to(home)), path.read_bytes()


def arguments() -> Iterator[tuple[str, bytes]]:
    """Return the command lines of all processes of this machine."""
    for process in psutil.process_iter(["cmdline"]):
        yield ARGUMENTS, "\0".join(process.info["cmdline"] or []).encode()


def rows(engine: Engine, fernet: Fernet) -> Iterator[tuple[str, bytes]]:
    """Return all values of all tables.

    Of what is encrypted a trigger's arguments alone are read: Airflow may also keep them as plain text.
    """
    with engine.connect() as connection:
        for table in inspect(connection).get_table_names():
            for row in connection.execute(text(f'SELECT * FROM "{table}"')).mappings():
                for column, value in row.items():
                    if (table, column) == ("trigger", "kwargs") and not value.startswith("{"):
                        value = fernet.decrypt(value)
                    yield f"{table}.{column}", _as_bytes(value)


def _as_bytes(value: Any) -> bytes:
    if isinstance(value, bytes | memoryview):
        return bytes(value)
    return (value if isinstance(value, str) else json.dumps(value, default=str)).encode()


def fernet_key(home: Path) -> str:
    """Return the key that Airflow made for itself."""
    settings = RawConfigParser()
    settings.read(home / "airflow.cfg")
    return settings["core"]["fernet_key"]
