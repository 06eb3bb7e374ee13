"""The values of a client's JSON object, each checked when it is read, with its full path for errors.

Every function raises `RefusedError`.
"""

from collections.abc import Collection
from typing import Any, Final

from frontend.protocols.kinds import Flag, Integer, Kind, Number, Text, WrongTypeError, WrongValueError
from frontend.protocols.openai.errors import RefusedError, invalid_type, invalid_value
from frontend.protocols.options import MAX_PROMPT_CHARS, OPTIONS

MAX_LIST: Final = 1000
MAX_NAME_CHARS: Final = 128


def an_object(value: Any, path: str, known: Collection[str]) -> dict[str, Any]:
    """An object that has only `known` keys."""
    if not isinstance(value, dict):
        raise invalid_type(value, path, "an object")
    for name in value:
        if name not in known:
            where = f"{path}.{name[:MAX_NAME_CHARS]}"
            raise RefusedError("unknown_parameter", f"Unknown parameter: '{where}'.", where)
    return value


def one_of(value: Any, path: str, allowed: Collection[str]) -> str:
    if not isinstance(value, str):
        raise invalid_type(value, path, "a string")
    if value not in allowed:
        raise invalid_value(value, path, ", ".join(sorted(allowed)))
    return value


def a_value(value: Any, path: str, kind: Kind) -> Any:
    try:
        return kind.parse(value)
    except WrongTypeError as error:
        raise invalid_type(error.part_of(value), path, error.allowed) from None
    except WrongValueError as error:
        raise invalid_value(error.part_of(value), path, error.allowed) from None


def an_option(value: Any, path: str, name: str) -> Any:
    """The value of a session option."""
    return a_value(value, path, OPTIONS[name].kind)


def texts(value: Any, path: str) -> list[str]:
    if not isinstance(value, list):
        raise invalid_type(value, path, "an array of strings")
    if len(value) > MAX_LIST:
        raise invalid_value(value, path, f"at most {MAX_LIST} entries")
    kind = Text(MAX_PROMPT_CHARS)
    return [a_value(entry, f"{path}[{index}]", kind) or "" for index, entry in enumerate(value)]


def an_integer(value: Any, path: str, low: int, high: int) -> int:
    integer: int = a_value(value, path, Integer(low, high))
    return integer


def a_number(value: Any, path: str, low: float, high: float) -> float:
    number: float = a_value(value, path, Number(low, high))
    return number


def a_flag(value: Any, path: str) -> bool:
    flag: bool = a_value(value, path, Flag())
    return flag
