"""The error for a bad setting: the key, the value and what is allowed, in one sentence.

Reads pydantic's field definitions (a field's `description` says what it allows); knows no particular
setting. Values of secrets are never shown.
"""

import json
import os
from collections.abc import Callable
from typing import Any, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from shared.errors import StartupError, shown

Fields = dict[str, FieldInfo]


class ExplainedError(ValueError):
    """A bad value whose message says what is wrong with it: "it has no host". Also shown for secrets, so the message
    must not contain the value."""


def sentence(error: ValidationError, fields: Fields, origin: Callable[[list[str]], str | None]) -> str:
    """The sentence for the first fault. `fields` are those of the settings' top level; `origin` names the file or the
    variable that holds the value at a path, None for a default."""
    first = error.errors()[0]
    location = [str(part) for part in first["loc"]]
    known, rest = _resolve(location, fields)
    if first["type"] == "extra_forbidden":
        beside = _section_fields(known[-1]) if known else fields
        return f"Setting {_named(location, origin)} is unknown; allowed here: {', '.join(beside)}."
    field = known[-1]
    key = _named(location[: len(location) - len(rest)], origin)
    if SecretStr in _types(field):
        fault = first.get("ctx", {}).get("error")
        reason = f": {fault}" if isinstance(fault, ExplainedError) else ""
        return f"Setting {key} has a bad value{reason}; allowed: {_allowed(field)}."
    given = "null" if first["input"] is None else shown(first["input"])
    return f"Setting {key} is {given}; allowed: {_allowed(field)}."


def _named(location: list[str], origin: Callable[[list[str]], str | None]) -> str:
    source = origin(location)
    return f"{'.'.join(location)} (in {source})" if source else ".".join(location)


def check_variables(prefix: str, fields: Fields, also: frozenset[str]) -> None:
    """Raises `StartupError` for a variable that has no effect, or that must hold JSON and does not. As for pydantic,
    names in small letters are the same."""
    for name, value in os.environ.items():
        if not name.upper().startswith(prefix) or name in also:
            continue
        location = name.upper().removeprefix(prefix).lower().split("__")
        if location[0] not in fields:
            allowed = ", ".join(fields)
            reason = f"{location[0]!r} is not a section"
            raise StartupError(f"The variable {name} has no effect: {reason}; allowed: {allowed}.")
        known, _ = _resolve(location, fields)
        if len(known) == len(location) and (example := _json_example(known[-1])) is not None:
            _check_json(name, value, known[-1], example)


def _check_json(name: str, value: str, field: FieldInfo, example: Any) -> None:
    try:
        found = json.loads(value)
    except ValueError:
        found = None
    if isinstance(found, type(example)):
        return
    how = f"like {name}='{json.dumps(example, ensure_ascii=False)}'" if example else "as JSON"
    raise StartupError(f"The variable {name} is {shown(value)}; allowed: {_allowed(field)}, written {how}.")


def _resolve(location: list[str], fields: Fields) -> tuple[list[FieldInfo], list[str]]:
    """The fields along the path, and the rest of the path that names no field (a list's index, an unknown key)."""
    known: list[FieldInfo] = []
    for depth, part in enumerate(location):
        if part not in fields:
            return known, location[depth:]
        known.append(fields[part])
        fields = _section_fields(fields[part])
    return known, []


def _section_fields(field: FieldInfo) -> Fields:
    for kind in _types(field):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind.model_fields
    return {}


def _types(field: FieldInfo) -> tuple[Any, ...]:
    return get_args(field.annotation) or (field.annotation,)


def _json_example(field: FieldInfo) -> list[Any] | dict[str, Any] | None:
    """What a variable for this field may hold as JSON, empty for a section. None: the variable holds no JSON."""
    if _section_fields(field):
        return {}
    kind = get_origin(field.annotation)
    if kind is dict:
        return field.default or {"…": "…"}
    return list(field.default) or ["…"] if kind in (tuple, list) else None


def _allowed(field: FieldInfo) -> str:
    if field.description:
        return field.description
    if section := _section_fields(field):
        return f"a section with {', '.join(section)}"
    types = _types(field)
    if bool in types:
        return "true or false"
    if int in types:
        return _with_bounds("a whole number", field)
    if float in types:
        return _with_bounds("a number", field)
    choices = [str(kind) for kind in types if isinstance(kind, str | int)]
    return ", ".join(choices) or "text"


def _with_bounds(what: str, field: FieldInfo) -> str:
    def bound(kind: type, value: Callable[[Any], Any]) -> Any:
        return next((value(item) for item in field.metadata if isinstance(item, kind)), None)

    low, high = bound(Ge, lambda item: item.ge), bound(Le, lambda item: item.le)
    above, below = bound(Gt, lambda item: item.gt), bound(Lt, lambda item: item.lt)
    if low is not None and high is not None:
        return f"{what} from {low} to {high}"
    limits = [("at least", low), ("more than", above), ("at most", high), ("less than", below)]
    said = " and ".join(f"{words} {limit}" for words, limit in limits if limit is not None)
    return f"{what}, {said}" if said else what
