"""Parameters are of the types that they are declared with, however they came: literals, templates, mapped values.

A template leaves a text, as does a mapped list at times: of a templated parameter ``true`` and ``false``, in any
case, are read as what they say, and so are whole numbers. All other texts are refused: ``"no"`` would pass for true.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from types import NoneType, UnionType
from typing import Any, ClassVar, Literal, Union, get_args, get_origin

from airflow.sdk import XComArg

from tiktok_provider.exceptions import InvalidInputError

OnChangedInput = Literal["warn", "fail"]
OnCap = Literal["wait", "fail"]
OnLate = Literal["skip", "fail"]
OnPostKeyConflict = Literal["fail", "reuse"]
# What Jinja, pandas, NumPy and JSON write in place of a value that is missing.
_LEFT_FOR_NOTHING = frozenset({"none", "nan", "nat", "null", "<na>"})
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,18}")
_BOOLEANS = {"true": True, "false": False}
_TEMPLATE = re.compile(r"\{[{%#]")
_LONGEST_SHOWN = 40
LONGEST_WAIT = timedelta(days=366)
_LONGEST_SECONDS = LONGEST_WAIT.total_seconds()


class TypedParameters:
    """Mixin of all operators and sensors.

    ``parameter_types``: for each parameter its type: a class, an enum of texts, a ``Literal``, a list of one of
    these, or a union of those. A text, also one in a list, must say something: what a template or a data frame leaves
    for a missing value is refused. A ``timedelta``, or a number in its place, is a wait of a year at most.
    ``may_be_empty``: the parameters that take the empty text, too.
    """

    parameter_types: ClassVar[Mapping[str, Any]] = {}
    may_be_empty: ClassVar[frozenset[str]] = frozenset()
    template_fields: Sequence[str]

    def check_parameters(self) -> None:
        """Check all parameters, once templates are rendered, and read what these have left for booleans and numbers.

        :raises InvalidInputError: with every violation.
        """
        for name, declared in self.parameter_types.items():
            value = vars(self).get(name)
            if name in self.template_fields and isinstance(value, str):
                setattr(self, name, _read(value, _alternatives(declared)))
        self._check_values(vars(self))

    def check_literals(self) -> None:
        """Check, while the DAG is parsed, what no template and no other task will change any more.

        Last statement of each ``__init__``. A mapped task is left to ``check_parameters``, which reports the mapped
        values with all others.

        :raises InvalidInputError: with every violation.
        """
        if not getattr(self, "_BaseOperator__from_mapped", False):
            self._check_values(
                {name: value for name, value in vars(self).items() if not self._is_open(name, value)}
            )

    def _check_values(self, values: Mapping[str, Any]) -> None:
        present = {name: kind for name, kind in self.parameter_types.items() if name in values}
        found = [self._violation(name, values[name], kind) for name, kind in present.items()]
        if violations := [violation for violation in found if violation]:
            raise InvalidInputError(violations)

    def _violation(self, name: str, value: object, declared: Any) -> str | None:
        if isinstance(value, str) and _says_nothing(value, may_be_empty=name in self.may_be_empty):
            return f"{name} is {value!r}: a template or a data frame left no value"
        kinds = _alternatives(declared)
        if nothing := _first_nothing(value):
            return f"{name}{nothing}: a template or a data frame left no value"
        if not any(_fits(value, kind) for kind in kinds):
            return f"{name} is {_shown(value)}, {_allowed(kinds)}"
        if timedelta in kinds and value is not None and not 0 <= _seconds(value) <= _LONGEST_SECONDS:
            return f"{name} is {_shown(value)}, allowed: 0 seconds to {LONGEST_WAIT.days} days"
        return None

    def _is_open(self, name: str, value: object) -> bool:
        if name not in self.template_fields:
            return False
        if isinstance(value, list | tuple):
            return any(self._is_open(name, entry) for entry in value)
        return isinstance(value, XComArg) or (isinstance(value, str) and bool(_TEMPLATE.search(value)))


def _read(text: str, kinds: Sequence[Any]) -> object:
    """Return what a text says, where it says exactly one of what is wanted; else the text."""
    words = text.strip()
    if bool in kinds and words.lower() in _BOOLEANS:
        return _BOOLEANS[words.lower()]
    return int(words) if int in kinds and _WHOLE_NUMBER.fullmatch(words) else text


def _says_nothing(text: str, *, may_be_empty: bool) -> bool:
    words = text.strip().lower()
    return words in _LEFT_FOR_NOTHING or not (words or may_be_empty)


def _first_nothing(value: object) -> str:
    """Return the place of the first text of a list that says nothing, and the text; empty if all say something."""
    entries = value if isinstance(value, list | tuple) else ()
    return next(
        (
            f"[{place}] is {entry!r}"
            for place, entry in enumerate(entries)
            if isinstance(entry, str) and _says_nothing(entry, may_be_empty=False)
        ),
        "",
    )


def _seconds(wait: Any) -> Any:
    return wait.total_seconds() if isinstance(wait, timedelta) else wait


def _alternatives(declared: Any) -> tuple[Any, ...]:
    return get_args(declared) if get_origin(declared) in (Union, UnionType) else (declared,)


def _fits(value: Any, kind: Any) -> bool:
    if texts := _texts(kind):
        return isinstance(value, str) and value in texts
    if entry := _entry_of(kind):
        entries = _alternatives(entry)
        return isinstance(value, list | tuple) and all(
            any(_fits(part, one) for one in entries) for part in value
        )
    # Python takes a bool for a number.
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _texts(kind: Any) -> tuple[str, ...]:
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return tuple(kind)
    return get_args(kind) if get_origin(kind) is Literal else ()


def _entry_of(kind: Any) -> Any:
    """Return the type of a list's entries; None if it is no list."""
    return get_args(kind)[0] if get_origin(kind) is list else None


def _allowed(kinds: Sequence[Any]) -> str:
    if texts := [text for kind in kinds for text in _texts(kind)]:
        return f"allowed: {', '.join(texts)}"
    return f"it must be of type {' or '.join(map(_type_name, kinds))}"


def _type_name(kind: Any) -> str:
    if entry := _entry_of(kind):
        return f"list of {'/'.join(map(_type_name, _alternatives(entry)))}"
    return "None" if kind is NoneType else str(kind.__name__)


def _shown(value: Any) -> str:
    """Show a plain value; of any other only the type: a list or a dict may hold a signed URL."""
    if isinstance(value, timedelta):
        return str(value)
    plain = isinstance(value, str | int | float | None)
    shown = repr(value) if plain else f"of type {type(value).__name__}"
    return shown if len(shown) <= _LONGEST_SHOWN else f"{shown[:_LONGEST_SHOWN]}..."
