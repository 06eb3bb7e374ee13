"""Which languages a client may name: one that is spoken, or several of which each segment has one. Pure."""

import re
from typing import Final, TypeGuard

from shared.errors import InvalidFieldError
from shared.events import SessionOptions

MAX_LANGUAGES: Final = 20

_CODE: Final = re.compile(r"[a-z]{2,3}")


def is_code(value: object) -> TypeGuard[str]:
    """Whether this looks like an ISO 639 code. Which ones a model knows is not known here."""
    return isinstance(value, str) and _CODE.fullmatch(value) is not None


def language_codes(value: object) -> tuple[str, ...]:
    """The codes of a list, each once. Raises InvalidFieldError."""
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_LANGUAGES or not all(map(is_code, value)):
        raise InvalidFieldError("languages", value, f"a list of 1 to {MAX_LANGUAGES} ISO 639 codes such as 'en'")
    return tuple(dict.fromkeys(value))


def check_language(options: SessionOptions) -> None:
    """Raises InvalidFieldError for a language that is not one of the languages that are given with it."""
    if options.language is not None and options.languages is not None and options.language not in options.languages:
        allowed = f"one of languages ({', '.join(options.languages)}), or null to detect which of them"
        raise InvalidFieldError("language", options.language, allowed)
