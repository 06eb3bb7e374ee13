"""Kinds of values that clients send: how each is checked, what errors list as allowed, and its JSON Schema. Pure.

    Integer(1, 4096).parse(12.0)        # 12
    Integer(1, 4096).parse("12")        # raises WrongTypeError: an integer
    Integer(1, 4096).parse(0)           # raises WrongValueError: 1 to 4096

`parse` takes a JSON value, and `from_text` the text of a form field.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Final, Generic, Protocol, TypeGuard, TypeVar

from frontend.protocols.languages import MAX_CHARS, is_detected, language_code
from shared.outgoing.addresses import MAX_URL_CHARS, RefusedUrlError, read_url

Schema = dict[str, Any]
E = TypeVar("E", bound=StrEnum)

MAX_INTEGER: Final = 2**53 - 1
"""The largest integer that every JSON implementation represents exactly."""
MAX_LANGUAGES: Final = 20
LANGUAGE_FORMS: Final = "a code such as 'en', 'eng' or 'en-US', an English name such as 'english'"


class WrongValueError(ValueError):
    """A value outside its bounds. `allowed` describes them."""

    def __init__(self, allowed: str, part: object = None) -> None:
        super().__init__(allowed)
        self.allowed = allowed
        self.part = part
        """The invalid entry of a list, or what replaces a value that errors do not repeat; None for the whole value."""

    def part_of(self, value: object) -> object:
        """What an error shows of the value."""
        return value if self.part is None else self.part


class WrongTypeError(WrongValueError):
    """A value of another JSON type."""


class WrongFieldError(WrongValueError):
    """A field of an object has a wrong value, `part`, or may not be there."""

    def __init__(self, name: str, value: object, allowed: str) -> None:
        super().__init__(allowed, value)
        self.name = name


class Kind(Protocol):
    @property
    def allowed(self) -> str:
        """Type and bounds in one phrase."""

    def parse(self, value: Any) -> Any:
        """The value in our representation. Raises WrongTypeError and WrongValueError."""

    def from_text(self, text: str) -> Any:
        """The same for the text of a form field."""

    def schema(self) -> Schema: ...


@dataclass(frozen=True, slots=True)
class Text:
    """A string. An empty one counts as absent, unless `min_chars` is set."""

    max_chars: int
    min_chars: int = 0
    example: str = ""

    @property
    def _bounds(self) -> str:
        return f"{self.min_chars} to {self.max_chars}" if self.min_chars else f"at most {self.max_chars}"

    @property
    def allowed(self) -> str:
        return f"a string of {self._bounds} characters" + (f", such as {self.example!r}" if self.example else "")

    def parse(self, value: Any) -> str | None:
        if not isinstance(value, str):
            raise WrongTypeError("a string")
        if not self.min_chars <= len(value) <= self.max_chars:
            raise WrongValueError(f"{self._bounds} characters")
        return value or None

    def from_text(self, text: str) -> str | None:
        return self.parse(text)

    def schema(self) -> Schema:
        return {"type": "string", "maxLength": self.max_chars}


@dataclass(frozen=True, slots=True)
class Url:
    """The URL of a web server. An error does not repeat it: it may hold secrets."""

    @property
    def allowed(self) -> str:
        return f"a URL of at most {MAX_URL_CHARS} characters, such as 'https://receiver.example/hook'"

    def parse(self, value: Any) -> str | None:
        if not isinstance(value, str):
            raise WrongTypeError(self.allowed, part="…")
        if value:
            try:
                read_url(value)
            except RefusedUrlError as error:
                raise WrongValueError(f"{self.allowed}; {error}", part="…") from None
        return value or None

    def from_text(self, text: str) -> str | None:
        return self.parse(text)

    def schema(self) -> Schema:
        return {"type": "string", "format": "uri", "maxLength": MAX_URL_CHARS}


@dataclass(frozen=True, slots=True)
class Integer:
    low: int = 0
    high: int = MAX_INTEGER

    @property
    def allowed(self) -> str:
        return f"an integer from {self.low} " + ("on" if self.high == MAX_INTEGER else f"to {self.high}")

    def parse(self, value: Any) -> int:
        number = whole_number(value)
        if number is None:
            raise WrongTypeError("an integer")
        if not self.low <= number <= self.high:
            raise WrongValueError(f"{self.low} to {self.high}")
        return number

    def from_text(self, text: str) -> int:
        return self.parse(_number_in(text, int))

    def schema(self) -> Schema:
        return {"type": "integer", "minimum": self.low, "maximum": self.high}


@dataclass(frozen=True, slots=True)
class Steps:
    """An integer from a list; `words` describes the list."""

    values: tuple[int, ...]
    words: str

    @property
    def allowed(self) -> str:
        return self.words

    def parse(self, value: Any) -> int:
        number = whole_number(value)
        if number is None or number not in self.values:
            raise WrongValueError(self.words)
        return number

    def from_text(self, text: str) -> int:
        return self.parse(_number_in(text, int))

    def schema(self) -> Schema:
        return {"type": "integer", "enum": list(self.values)}


@dataclass(frozen=True, slots=True)
class Number:
    low: float
    high: float
    excludes_low: bool = False

    @property
    def _bounds(self) -> str:
        return f"above {self.low:g}, at most {self.high:g}" if self.excludes_low else f"{self.low:g} to {self.high:g}"

    @property
    def allowed(self) -> str:
        return f"a number {'' if self.excludes_low else 'from '}{self._bounds}"

    def parse(self, value: Any) -> float:
        if not _is_number(value):
            raise WrongTypeError("a number")
        if not (self.low < value if self.excludes_low else self.low <= value) or not value <= self.high:
            raise WrongValueError(self._bounds)
        return value

    def from_text(self, text: str) -> float:
        return self.parse(_number_in(text, float))

    def schema(self) -> Schema:
        return {
            "type": "number",
            "exclusiveMinimum" if self.excludes_low else "minimum": self.low,
            "maximum": self.high,
        }


@dataclass(frozen=True, slots=True)
class Choice(Generic[E]):
    of: type[E]

    @property
    def allowed(self) -> str:
        return ", ".join(self.of)

    def parse(self, value: Any) -> E:
        try:
            return self.of(value)
        except ValueError:
            raise WrongValueError(self.allowed) from None

    def from_text(self, text: str) -> E:
        return self.parse(text)

    def schema(self) -> Schema:
        return {"type": "string", "enum": [str(value) for value in self.of]}


@dataclass(frozen=True, slots=True)
class Flag:
    allowed: ClassVar[str] = "true, false"

    def parse(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise WrongTypeError("true or false")
        return value

    def from_text(self, text: str) -> bool:
        if text.lower() not in ("true", "false", "1", "0"):
            raise WrongValueError(self.allowed)
        return text.lower() in ("true", "1")

    def schema(self) -> Schema:
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class Language:
    """The code of a language, in any usual form; None to detect it. Does not check which languages a model supports."""

    allowed: ClassVar[str] = f"{LANGUAGE_FORMS}, or 'auto' to detect it"

    def parse(self, value: Any) -> str | None:
        if not isinstance(value, str):
            raise WrongTypeError("a string")
        if is_detected(value):
            return None
        code = language_code(value)
        if code is None:
            raise WrongValueError(self.allowed)
        return code

    def from_text(self, text: str) -> str | None:
        return self.parse(text)

    def schema(self) -> Schema:
        return {"type": "string", "maxLength": MAX_CHARS}


@dataclass(frozen=True, slots=True)
class Languages:
    """The codes of a list, each once; None for a list that contains only 'auto'."""

    allowed: ClassVar[str] = f"a list of 1 to {MAX_LANGUAGES} languages, each {LANGUAGE_FORMS}"

    def parse(self, value: Any) -> tuple[str, ...] | None:
        if not isinstance(value, list):
            raise WrongTypeError(self.allowed)
        if not 1 <= len(value) <= MAX_LANGUAGES:
            raise WrongValueError(self.allowed)
        if all(isinstance(one, str) and is_detected(one) for one in value):
            return None
        codes = [language_code(one) if isinstance(one, str) and not is_detected(one) else None for one in value]
        for one, code in zip(value, codes, strict=True):
            if code is None:
                raise WrongValueError(self.allowed, part=one)
        return tuple(dict.fromkeys(code for code in codes if code is not None))

    def from_text(self, text: str) -> tuple[str, ...] | None:
        return self.parse([one.strip() for one in text.split(",")])

    def schema(self) -> Schema:
        items = {"type": "string", "maxLength": MAX_CHARS}
        return {"type": "array", "minItems": 1, "maxItems": MAX_LANGUAGES, "items": items}


@dataclass(frozen=True, slots=True)
class Choices(Generic[E]):
    """Some of a few words, each once; None for an empty list."""

    of: type[E]

    @property
    def allowed(self) -> str:
        return f"a list of any of {', '.join(self.of)}"

    def parse(self, value: Any) -> tuple[E, ...] | None:
        if not isinstance(value, list):
            raise WrongTypeError(self.allowed)
        for one in value:
            if not isinstance(one, str) or one not in list(self.of):
                raise WrongValueError(self.allowed, part=one)
        return tuple(dict.fromkeys(self.of(one) for one in value)) or None

    def from_text(self, text: str) -> tuple[E, ...] | None:
        return self.parse(_listed(text))

    def schema(self) -> Schema:
        return {"type": "array", "items": {"type": "string", "enum": [str(value) for value in self.of]}}


@dataclass(frozen=True, slots=True)
class Terms:
    """Words and names, each once; None for an empty list. An error repeats none of them."""

    max_terms: int
    max_chars: int

    @property
    def allowed(self) -> str:
        return f"a list of at most {self.max_terms} strings, each of 1 to {self.max_chars} characters"

    def parse(self, value: Any) -> tuple[str, ...] | None:
        if not isinstance(value, list):
            raise WrongTypeError(self.allowed)
        if len(value) > self.max_terms:
            raise WrongValueError(self.allowed, part=f"a list of {len(value)}")
        terms = [one.strip() if isinstance(one, str) else "" for one in value]
        if not all(0 < len(term) <= self.max_chars for term in terms):
            raise WrongValueError(self.allowed, part="…")
        return tuple(dict.fromkeys(terms)) or None

    def from_text(self, text: str) -> tuple[str, ...] | None:
        return self.parse(_listed(text))

    def schema(self) -> Schema:
        items = {"type": "string", "minLength": 1, "maxLength": self.max_chars}
        return {"type": "array", "maxItems": self.max_terms, "items": items}


def _listed(text: str) -> list[str]:
    return [one.strip() for one in text.split(",") if one.strip()]


def _number_in(text: str, number: Callable[[str], float]) -> float | None:
    """The number that a text is; None, which no kind of number accepts, if it is none."""
    try:
        return number(text)
    except ValueError:
        return None


def _is_number(value: object) -> TypeGuard[float]:
    """True and false are not numbers in JSON, although they are in Python. NaN is one, but within no bounds."""
    return type(value) in (int, float)


def whole_number(value: object) -> int | None:
    """An integer of JSON, which does not distinguish 16000 from 16000.0; None for all other values."""
    if type(value) is int:
        return value
    return int(value) if isinstance(value, float) and value.is_integer() else None
