"""What Voxtral makes of a client's options. Pure."""

from typing import Final

from shared.events import Mode, SessionOptions
from worker.engines import choices
from worker.engines.base import Notice

LANGUAGES: Final = ("en", "es", "fr", "pt", "hi", "de", "nl", "it")
"""Those that the model card names."""


def usable(options: SessionOptions) -> tuple[SessionOptions, list[Notice]]:
    """The options without what has no effect here, and what to tell the client about it."""
    options, notices = choices.usable(options, LANGUAGES)
    if options.prompt is not None and options.mode is not Mode.UNDERSTAND:
        notices.append(Notice("prompt_ignored", f"prompt has no effect in the mode {options.mode}."))
    drawn = options.temperature or options.top_p is not None or options.max_new_tokens is not None
    if drawn and options.mode is Mode.TRANSCRIBE:
        message = "temperature, top_p and max_new_tokens have no effect on a transcription."
        notices.append(Notice("sampling_ignored", message))
    return options, notices
