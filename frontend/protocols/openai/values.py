"""The values of a client's JSON object, each checked as it is taken, with its whole path for the error.

Every function raises `RefusedError`.
"""

from collections.abc import Collection
from typing import Any, Final

from frontend.protocols.fields import MAX_INTEGER, MAX_PROMPT_CHARS, whole_number
from frontend.protocols.openai.errors import RefusedError, invalid_type, invalid_value

MAX_LIST: Final = 1000
MAX_NAME_CHARS: Final = 128


def an_object(value: Any, path: str, known: Collection[str]) -> dict[str, Any]:
    """An object that has no keys but the `known` ones."""
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


def a_text(value: Any, path: str, max_chars: int = MAX_PROMPT_CHARS) -> str:
    if not isinstance(value, str):
        raise invalid_type(value, path, "a string")
    if len(value) > max_chars:
        raise invalid_value(value, path, f"at most {max_chars} characters")
    return value


def texts(value: Any, path: str) -> list[str]:
    if not isinstance(value, list):
        raise invalid_type(value, path, "an array of strings")
    if len(value) > MAX_LIST:
        raise invalid_value(value, path, f"at most {MAX_LIST} entries")
    return [a_text(entry, f"{path}[{index}]") for index, entry in enumerate(value)]


def an_integer(value: Any, path: str, low: int = 0, high: int = MAX_INTEGER) -> int:
    number = whole_number(value)
    if number is None:
        raise invalid_type(value, path, "an integer")
    if not low <= number <= high:
        raise invalid_value(value, path, f"{low} to {high}")
    return number


def a_number(value: Any, path: str, low: float, high: float) -> float:
    """JSON's true and false are none, though Python counts with them."""
    if type(value) not in (int, float):
        raise invalid_type(value, path, "a number")
    if not low <= value <= high:
        raise invalid_value(value, path, f"{low:g} to {high:g}")
    number: float = value
    return number


def a_flag(value: Any, path: str) -> bool:
    if not isinstance(value, bool):
        raise invalid_type(value, path, "true or false")
    return value
