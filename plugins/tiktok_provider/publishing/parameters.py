"""Parameters are of the types that they are declared with, however they came: literals, templates, mapped values.

A text such as ``"False"``, which a template or a mapped list can leave, would otherwise pass for true.
"""

from collections.abc import Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, ClassVar, Literal, Union, get_args, get_origin

from airflow.sdk import XComArg

from tiktok_provider.exceptions import InvalidInputError

OnChangedInput = Literal["warn", "fail"]
OnCap = Literal["wait", "fail"]
# What Jinja, pandas, NumPy and JSON write in place of a value that is missing.
_LEFT_FOR_NOTHING = frozenset({"none", "nan", "nat", "null", "<na>"})


class TypedParameters:
    """Mixin of all operators and sensors.

    ``parameter_types``: for each parameter its type: a class, a ``Literal``, or a union of those. A text must say
    something: what a template or a data frame leaves for a missing value is refused.
    ``may_be_empty``: the parameters that take the empty text, too.
    """

    parameter_types: ClassVar[Mapping[str, Any]] = {}
    may_be_empty: ClassVar[frozenset[str]] = frozenset()
    template_fields: Sequence[str]

    def check_parameters(self) -> None:
        """Check all parameters, once templates are rendered.

        :raises InvalidInputError: with every violation.
        """
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
        if not any(_fits(value, kind) for kind in _alternatives(declared)):
            return f"{name} is {_shown(value)}, {_allowed(declared)}"
        if isinstance(value, str) and _says_nothing(value, may_be_empty=name in self.may_be_empty):
            return f"{name} is {value!r}: a template or a data frame left no value"
        return None

    def _is_open(self, name: str, value: object) -> bool:
        return name in self.template_fields and isinstance(value, str | XComArg)


def _says_nothing(text: str, *, may_be_empty: bool) -> bool:
    words = text.strip().lower()
    return words in _LEFT_FOR_NOTHING or not (words or may_be_empty)


def _alternatives(declared: Any) -> tuple[Any, ...]:
    return get_args(declared) if get_origin(declared) in (Union, UnionType) else (declared,)


def _fits(value: Any, kind: Any) -> bool:
    if get_origin(kind) is Literal:
        return isinstance(value, str) and value in get_args(kind)
    # Python takes a bool for a number.
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _allowed(declared: Any) -> str:
    if get_origin(declared) is Literal:
        return f"allowed: {', '.join(get_args(declared))}"
    names = ("None" if kind is NoneType else kind.__name__ for kind in _alternatives(declared))
    return f"it must be of type {' or '.join(names)}"


def _shown(value: Any) -> str:
    """Show a plain value; of any other only the type: a list or a dict may hold a signed URL."""
    plain = isinstance(value, str | int | float | None)
    return repr(value) if plain else f"of type {type(value).__name__}"
