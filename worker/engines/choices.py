"""What this model makes of a client's options. Pure."""

from collections.abc import Collection
from dataclasses import replace

from shared.errors import shown
from shared.events import SessionOptions
from worker.engines.base import Notice


def usable(options: SessionOptions, languages: Collection[str]) -> tuple[SessionOptions, list[Notice]]:
    """The options without what the model cannot do, and what to tell the client about it."""
    notices = []
    if options.delay_ms is not None:
        notices.append(Notice("delay_ignored", "delay_ms has no effect: this model has no fixed look-ahead."))
    unused = [name for name in ("max_new_tokens", "temperature", "top_p") if getattr(options, name) is not None]
    if unused:
        have = "have" if len(unused) > 1 else "has"
        message = f"{', '.join(unused)} {have} no effect: this model writes down what is said."
        notices.append(Notice("sampling_ignored", message))
    if options.language is not None and options.language not in languages:
        message = f"Language {shown(options.language)} is not one of the model's; it will be detected."
        notices.append(Notice("language_ignored", message))
        options = replace(options, language=None)
    return options, notices
