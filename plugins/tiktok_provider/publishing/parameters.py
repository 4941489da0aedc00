"""Parameters are of the types that they are declared with, however they came: literals, templates, mapped values.

A text such as ``"False"``, which a template or a mapped list can leave, would otherwise pass for true.
"""

from collections.abc import Iterator, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, ClassVar, Literal, Union, get_args, get_origin

from airflow.sdk import XComArg

from tiktok_provider.exceptions import InvalidInputError

OnChangedInput = Literal["warn", "fail"]
OnCap = Literal["wait", "fail"]
OnLate = Literal["skip", "fail"]
OnPostKeyConflict = Literal["fail", "reuse"]


class TypedParameters:
    """Mixin of all operators and sensors.

    ``parameter_types``: for each parameter its type: a class, a ``Literal``, or a union of those.
    """

    parameter_types: ClassVar[Mapping[str, Any]] = {}
    template_fields: Sequence[str]

    def check_parameters(self) -> None:
        """Check all parameters, once templates are rendered.

        :raises InvalidInputError: with every violation.
        """
        _refuse(_violations(vars(self), self.parameter_types))

    def check_literals(self) -> None:
        """Check, while the DAG is parsed, what no template and no other task will change any more.

        Last statement of each ``__init__``. A mapped task is left to ``check_parameters``, which reports the mapped
        values with all others.

        :raises InvalidInputError: with every violation.
        """
        if not getattr(self, "_BaseOperator__from_mapped", False):
            literals = {name: value for name, value in vars(self).items() if not self._is_open(name, value)}
            _refuse(_violations(literals, self.parameter_types))

    def _is_open(self, name: str, value: object) -> bool:
        return name in self.template_fields and isinstance(value, str | XComArg)


def _violations(values: Mapping[str, Any], types: Mapping[str, Any]) -> Iterator[str]:
    for name, declared in types.items():
        if name in values and not any(_fits(values[name], kind) for kind in _alternatives(declared)):
            yield f"{name} is {_shown(values[name])}, {_allowed(declared)}"


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


def _refuse(violations: Iterator[str]) -> None:
    if found := list(violations):
        raise InvalidInputError(found)
