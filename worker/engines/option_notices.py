"""Notices for a client's options that a model does not support. Pure."""

from collections.abc import Collection
from dataclasses import replace
from typing import Final

from shared.errors import shown
from shared.session_options import SessionOptions
from shared.turn_detection import TurnDetection, TurnDetectionType
from worker.engines.base import Notice
from worker.model_files import COMMAND
from worker.turns.judge import TurnJudge

COMMIT_DELAY: Final = ("commit_delay",)
DELAY: Final = ("delay_ms",)
KEYTERMS: Final = ("keyterms",)
LANGUAGES: Final = ("languages",)
LANGUAGE: Final = ("language",)
PROMPT: Final = ("prompt",)
SAMPLING: Final = ("max_new_tokens", "temperature", "top_p")
TURN_DETECTION: Final = ("turn_detection",)
"""Groups of options; every part of `unused` is one of these."""

_NOTICES: Final = {
    COMMIT_DELAY: ("commit_delay_ignored", "this model does not support different commit delays"),
    DELAY: ("delay_ignored", "this model has no fixed look-ahead"),
    KEYTERMS: ("keyterms_ignored", "this model supports no key terms in mode {mode}"),
    LANGUAGES: ("languages_ignored", "this model cannot be limited to several languages"),
    LANGUAGE: ("language_ignored", "this model has a fixed language"),
    PROMPT: ("prompt_ignored", "this model uses no prompt in mode {mode}"),
    SAMPLING: ("sampling_ignored", "transcription uses no sampling"),
    TURN_DETECTION: ("turn_detection_ignored", "this model finds no turns in mode {mode}"),
}


def without_effect(options: SessionOptions, *unused: tuple[str, ...]) -> list[Notice]:
    """One notice for each group of `unused` in which the client has set an option."""
    notices = []
    for group in unused:
        given = [name for name in group if getattr(options, name) is not None]
        if given:
            code, reason = _NOTICES[group]
            have = "have" if len(given) > 1 else "has"
            reason = reason.format(mode=options.mode)
            notices.append(Notice(code, f"{', '.join(given)} {have} no effect: {reason}."))
    return notices


def turns_by_pauses(detection: TurnDetection | None, judge: TurnJudge | None) -> list[Notice]:
    """The notice for semantic turn detection if its model is not installed."""
    if detection is None or detection.type != TurnDetectionType.SEMANTIC or (judge is not None and judge.is_installed):
        return []
    reason = f"the model for type semantic is not installed (`{COMMAND}` installs it)"
    return [Notice("turn_detection_limited", f"turn_detection ends turns at pauses: {reason}.")]


def cut_prompt(unused: str, limit_tokens: int) -> Notice:
    """The notice for a prompt that is longer than the model accepts. `unused` is its beginning."""
    last = shown(" ".join(unused.split()[-3:])[-40:])
    reason = f"this model uses its last {limit_tokens} tokens"
    return Notice("prompt_cut", f"prompt is too long, and its beginning, up to {last}, has no effect: {reason}.")


def spoken_language(options: SessionOptions, languages: Collection[str]) -> tuple[SessionOptions, list[Notice]]:
    """The options without languages that the model does not support, and the notices for the client.

    If one language is left, it becomes `language`.
    """
    notices = []
    allowed = tuple(code for code in options.languages or () if code in languages)
    if options.languages is not None and len(allowed) < len(options.languages):
        unknown = ", ".join(shown(code) for code in options.languages if code not in languages)
        message = f"The model does not support these languages, which are ignored: {unknown}."
        notices.append(Notice("language_ignored", message))
    options = replace(options, languages=allowed or None)
    if options.language is not None and options.language not in languages:
        only = next(iter(languages)) if len(languages) == 1 else None
        instead = f"all speech is assumed to be {only!r}" if only else "the language is detected"
        message = f"The model does not support the language {shown(options.language)}; {instead}."
        notices.append(Notice("language_ignored", message))
        options = replace(options, language=None)
    if options.language is None and len(allowed) == 1:
        options = replace(options, language=allowed[0])
    return options, notices
