"""Turns JSON objects into typed records, naming the first field that does not fit."""

import json
from collections.abc import Collection, Mapping
from dataclasses import MISSING, fields
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

Record = TypeVar("Record")


class FieldError(ValueError):
    """A field is missing, unknown, of the wrong type or outside its choices."""


def json_object(raw: bytes | bytearray) -> dict[str, object]:
    """The JSON object in a body.

    :raises FieldError: for all else, and for what could not be written as JSON again: a NaN, half a surrogate pair.
    """
    try:
        body = json.loads(raw.decode())
        json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError) as error:
        raise FieldError("The body is not JSON") from error
    if not isinstance(body, dict):
        raise FieldError("The body is not a JSON object")
    return body


def conforms(value: object, hint: Any) -> bool:
    """Whether a JSON value fits a type: the JSON scalars, list, dict, Literal and unions of them."""
    origin = get_origin(hint)
    if origin is Literal:
        return any(value == choice and type(value) is type(choice) for choice in get_args(hint))
    if origin in (Union, UnionType):
        return any(conforms(value, member) for member in get_args(hint))
    if origin is list:
        return isinstance(value, list) and all(conforms(item, get_args(hint)[0]) for item in value)
    if hint in (int, float):
        return isinstance(value, (int, hint)) and not isinstance(value, bool)
    return isinstance(value, origin or hint)


def _expected(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(repr(choice) for choice in get_args(hint))
    return getattr(hint, "__name__", str(hint)) if get_origin(hint) is None else str(hint)


def check_values(record_type: type, values: Mapping[str, object], *, allow_unknown: bool = False) -> None:
    """Raise FieldError unless every value fits the field of its name.

    `allow_unknown` lets names pass that the record does not have.
    """
    hints = get_type_hints(record_type)
    known = {field.name for field in fields(record_type)}
    for name, value in values.items():
        if name not in known:
            if allow_unknown:
                continue
            raise FieldError(f"{name} is not a known field")
        if not conforms(value, hints[name]):
            raise FieldError(f"{name} must be {_expected(hints[name])}")


def build(record_type: type[Record], values: Mapping[str, object], *, allow_unknown: bool = False) -> Record:
    """A record from a JSON object. A null where the field does not allow it counts as absent."""
    hints = get_type_hints(record_type)
    given = {
        name: value
        for name, value in values.items()
        if value is not None or (name in hints and conforms(None, hints[name]))
    }
    check_values(record_type, given, allow_unknown=allow_unknown)
    known = {field.name: field for field in fields(record_type)}  # type: ignore[arg-type]
    for name, field in known.items():
        if name not in given and field.default is MISSING and field.default_factory is MISSING:
            raise FieldError(f"{name} is required")
    return record_type(**{name: value for name, value in given.items() if name in known})


def change(record: object, values: Mapping[str, object], *, fixed: Collection[str] = ()) -> None:
    """Set fields of a record, all or none."""
    if barred := sorted(set(values) & set(fixed)):
        raise FieldError(f"{barred[0]} cannot be changed")
    check_values(type(record), values)
    for name, value in values.items():
        setattr(record, name, value)
