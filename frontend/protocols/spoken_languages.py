"""Which languages a client may name: one that is spoken, or several of which each segment has one. Pure."""

from typing import Final

from frontend.protocols.languages import is_detected, language_code
from shared.errors import InvalidFieldError
from shared.events import SessionOptions

MAX_LANGUAGES: Final = 20
LANGUAGE_FORMS: Final = "a code such as 'en', 'eng' or 'en-US', an English name such as 'english'"


def spoken_language(value: object, field: str = "language") -> str | None:
    """The code of a language, in whatever usual form it was given; None is to be detected.

    Which ones a model knows is not known here. Raises InvalidFieldError.
    """
    if value is None:
        return None
    code = None
    if isinstance(value, str):
        if is_detected(value):
            return None
        code = language_code(value)
    if code is None:
        raise InvalidFieldError(field, value, f"{LANGUAGE_FORMS}, or 'auto' to detect it")
    return code


def spoken_languages(value: object, field: str = "languages") -> tuple[str, ...] | None:
    """The codes of a list, each once; None for a list of nothing but 'auto'. Raises InvalidFieldError."""
    allowed = f"a list of 1 to {MAX_LANGUAGES} languages, each {LANGUAGE_FORMS}"
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_LANGUAGES:
        raise InvalidFieldError(field, value, allowed)
    if all(isinstance(one, str) and is_detected(one) for one in value):
        return None
    codes = [language_code(one) if isinstance(one, str) and not is_detected(one) else None for one in value]
    for one, code in zip(value, codes, strict=True):
        if code is None:
            raise InvalidFieldError(field, one, allowed)
    return tuple(dict.fromkeys(code for code in codes if code is not None))


def check_language(options: SessionOptions) -> None:
    """Raises InvalidFieldError for a language that is not one of the languages that are given with it."""
    if options.language is not None and options.languages is not None and options.language not in options.languages:
        allowed = f"one of languages ({', '.join(options.languages)}), or null to detect which of them"
        raise InvalidFieldError("language", options.language, allowed)
