"""Which of a client's options Voxtral can use. Pure."""

from typing import Final

from shared.session_options import Mode, SessionOptions
from worker.engines.base import Notice
from worker.engines.option_notices import (
    COMMIT_DELAY,
    DELAY,
    KEYTERMS,
    PROMPT,
    SAMPLING,
    TURN_DETECTION,
    spoken_language,
    without_effect,
)
from worker.engines.option_notices import LANGUAGES as LANGUAGES_OPTION

LANGUAGES: Final = ("en", "es", "fr", "pt", "hi", "de", "nl", "it")
"""The languages that the model card names."""
UNUSED: Final = {
    Mode.TRANSCRIBE: (DELAY, COMMIT_DELAY, PROMPT, SAMPLING),
    Mode.UNDERSTAND: (DELAY, COMMIT_DELAY, KEYTERMS, TURN_DETECTION),
    Mode.GENERAL: (DELAY, COMMIT_DELAY, PROMPT, KEYTERMS, TURN_DETECTION),
    Mode.TRANSLATE: (DELAY, COMMIT_DELAY, PROMPT, KEYTERMS, TURN_DETECTION),
}


def usable(options: SessionOptions) -> tuple[SessionOptions, list[Notice]]:
    """The options without unsupported languages, and the notices for the client."""
    notices = without_effect(options, *UNUSED[options.mode])
    options, unknown = spoken_language(options, LANGUAGES)
    if options.language is None:
        notices += without_effect(options, LANGUAGES_OPTION)
    return options, notices + unknown
