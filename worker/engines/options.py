"""What a model makes of a client's options: what has no effect is said once. Pure."""

from collections.abc import Collection
from dataclasses import replace
from typing import Final

from shared.errors import shown
from shared.events import SessionOptions
from worker.engines.base import Notice

COMMIT_DELAY: Final = ("commit_delay",)
DELAY: Final = ("delay_ms",)
LANGUAGES: Final = ("languages",)
LANGUAGE: Final = ("language",)
PROMPT: Final = ("prompt",)
SAMPLING: Final = ("max_new_tokens", "temperature", "top_p")
"""Options by what they are for; every part of an `unused` is one of these."""

_NOTICES: Final = {
    COMMIT_DELAY: ("commit_delay_ignored", "this model has one rule for what it commits"),
    DELAY: ("delay_ignored", "this model has no fixed look-ahead"),
    LANGUAGES: ("languages_ignored", "this model cannot be limited to several languages"),
    LANGUAGE: ("language_ignored", "this model writes the language that it was made for"),
    PROMPT: ("prompt_ignored", "this model uses none in mode {mode}"),
    SAMPLING: ("sampling_ignored", "this model writes down what is said"),
}


def without_effect(options: SessionOptions, *unused: tuple[str, ...]) -> list[Notice]:
    """One notice for each group of `unused` of which the client gave something."""
    notices = []
    for group in unused:
        given = [name for name in group if getattr(options, name) is not None]
        if given:
            code, reason = _NOTICES[group]
            have = "have" if len(given) > 1 else "has"
            reason = reason.format(mode=options.mode)
            notices.append(Notice(code, f"{', '.join(given)} {have} no effect: {reason}."))
    return notices


def cut_prompt(unused: str, limit_tokens: int) -> Notice:
    """What a client is told whose prompt is longer than the model takes. `unused` is its beginning."""
    last = shown(" ".join(unused.split()[-3:])[-40:])
    reason = f"this model takes its last {limit_tokens} tokens"
    return Notice("prompt_cut", f"prompt is too long, and its beginning, up to {last}, has no effect: {reason}.")


def spoken_language(options: SessionOptions, languages: Collection[str]) -> tuple[SessionOptions, list[Notice]]:
    """The options without languages that are not the model's, and what to tell the client about it.

    Where one language is left to choose from, it is the language.
    """
    notices = []
    allowed = tuple(code for code in options.languages or () if code in languages)
    if options.languages is not None and len(allowed) < len(options.languages):
        unknown = ", ".join(shown(code) for code in options.languages if code not in languages)
        message = f"Of languages, these are not the model's and have no effect: {unknown}."
        notices.append(Notice("language_ignored", message))
    options = replace(options, languages=allowed or None)
    if options.language is not None and options.language not in languages:
        only = next(iter(languages)) if len(languages) == 1 else None
        instead = f"all speech is taken for {only!r}" if only else "it will be detected"
        message = f"Language {shown(options.language)} is not one of the model's; {instead}."
        notices.append(Notice("language_ignored", message))
        options = replace(options, language=None)
    if options.language is None and len(allowed) == 1:
        options = replace(options, language=allowed[0])
    return options, notices
