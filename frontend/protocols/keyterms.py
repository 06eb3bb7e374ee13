"""Key terms as clients send them: texts, or objects with a boost. Pure.

    KeyTerms(200, 100, 4.0).parse(["Kowalczyk", {"term": "Zyrtalin", "boost": 3}])

The lists of other APIs (`keywords`, `context_bias`) hold only texts.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from frontend.protocols.json_objects import parsed
from frontend.protocols.kinds import Number, Schema, WrongTypeError, WrongValueError
from shared.errors import InvalidJsonError
from shared.session_options import DEFAULT_BOOST, KeyTerm

FIELDS: Final = frozenset({"term", "boost"})


@dataclass(frozen=True, slots=True)
class KeyTerms:
    """Terms, each once; None for an empty list. Without `max_boost`, a list of texts only."""

    max_terms: int
    max_chars: int
    max_boost: float | None = None

    @property
    def allowed(self) -> str:
        text = f"{'a string' if self.max_boost is None else 'strings'} of 1 to {self.max_chars} characters"
        if self.max_boost is None:
            return f"a list of at most {self.max_terms} strings, each {text}"
        objects = f'objects such as {{"term": "Ann Lee", "boost": 2}} with a boost from 0 to {self.max_boost:g}'
        return f"a list of at most {self.max_terms} terms: {text}, or {objects}"

    def parse(self, value: Any) -> tuple[KeyTerm, ...] | None:
        if not isinstance(value, list | tuple):
            raise WrongTypeError(self.allowed)
        if len(value) > self.max_terms:
            raise WrongValueError(self.allowed, part=f"a list of {len(value)}")
        terms = [self._term(one) for one in value]
        return distinct(terms) or None

    def from_text(self, text: str) -> tuple[KeyTerm, ...] | None:
        return self.parse(listed(text))

    def schema(self) -> Schema:
        text: Schema = {"type": "string", "minLength": 1, "maxLength": self.max_chars}
        if self.max_boost is None:
            return {"type": "array", "maxItems": self.max_terms, "items": text}
        boost = {**Number(0, self.max_boost).schema(), "default": DEFAULT_BOOST}
        term = {"type": "object", "required": ["term"], "additionalProperties": False}
        term["properties"] = {"term": text, "boost": boost}
        return {"type": "array", "maxItems": self.max_terms, "items": {"anyOf": [text, term]}}

    def _term(self, given: Any) -> KeyTerm:
        boost: Any = None
        text = given
        if isinstance(given, dict) and self.max_boost is not None and given.keys() <= FIELDS:
            text, boost = given.get("term"), given.get("boost")
        if not isinstance(text, str) or not 0 < len(text := " ".join(text.split())) <= self.max_chars:
            raise WrongValueError(self.allowed, part="…")
        if boost is None:
            return KeyTerm(text)
        try:
            return KeyTerm(text, float(Number(0, self.max_boost or 0.0).parse(boost)))
        except WrongValueError:
            raise WrongValueError(self.allowed, part=boost) from None


def listed(text: str) -> list[Any]:
    """The entries of a form field: a JSON array, one JSON object, or texts separated by commas."""
    try:
        value = parsed(text)
    except InvalidJsonError:
        value = None
    if isinstance(value, list):
        return value
    return [value] if isinstance(value, dict) else [one.strip() for one in text.split(",") if one.strip()]


def distinct(terms: Iterable[KeyTerm]) -> tuple[KeyTerm, ...]:
    """Each term once, with the boost that came first."""
    found: dict[str, KeyTerm] = {}
    for one in terms:
        found.setdefault(one.term, one)
    return tuple(found.values())


def written(terms: Iterable[KeyTerm] | None) -> list[dict[str, Any]] | None:
    """The terms as the APIs return them."""
    return None if terms is None else [{"term": one.term, "boost": one.boost} for one in terms]
