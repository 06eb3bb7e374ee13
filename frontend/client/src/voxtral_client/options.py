"""The options of sessions and requests, named as on the wire. The server's documentation describes each in detail."""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict


class ChangeableOptions(TypedDict, total=False):
    """What `configure` of a live session can change. None, or no value, leaves the choice to the server."""

    language: str | None
    """A code (`en`, `en-US`) or an English name (`english`); without it the language is detected."""
    languages: Sequence[str] | None
    """The languages that the speech can have; each segment has one of them."""
    prompt: str | None
    """Names to expect, or the question of the modes `understand` and `general`."""
    keyterms: Sequence[str | Mapping[str, Any]] | None
    """Words and names to expect: strings, or mappings with `term` and `boost`."""
    max_new_tokens: int | None
    """Longest answer of a language model."""
    temperature: float | None
    top_p: float | None
    numerals: bool | None
    """Whether spoken numbers are written in digits."""
    profanity: str | None
    """`keep` or `mask`."""
    filler_words: str | None
    """`keep` or `drop`."""
    redact: Sequence[str] | None
    """Any of `numbers`, `emails`, `phones`, `cards` and `ibans`."""
    redact_terms: Sequence[str] | None
    """Words and names that the text must not contain."""
    diarize: bool | None
    """Whether words and finals name their speaker."""
    max_speakers: int | None
    """Most speakers of the session, or of each channel, known ones included."""
    revise: bool | None
    """Whether the server's second model decodes finals again; a `Revised` then replaces the text of a `Final`."""


class Options(ChangeableOptions, total=False):
    """What sessions and one-shot requests have in common."""

    mode: str
    """`transcribe` (the default), `translate`, `understand` or `general`."""
    model: str | None
    """One of the running models; without it the server chooses the best one for the mode."""
    known_speakers: Sequence[Mapping[str, str]] | None
    """Speakers whose name is their label: each with a `name`, and an `embedding` of `embed_voice` or `audio` (base64
    of 1 to 10 s of speech)."""
    webhook: str | None
    """A URL to which the server sends finals and the end of the session, if it allows webhooks."""
    webhook_events: Sequence[str] | None
    """Those of `final`, `done` and `error` that are sent; all of them if it is absent."""


class ConfigureOptions(ChangeableOptions, total=False):
    """Options of `configure`."""

    delay_ms: int | None
    commit_delay: str | None
    turn_detection: Mapping[str, Any] | None


class LiveOptions(Options, total=False):
    """Options of a live session."""

    delay_ms: int | None
    """How long Voxtral Realtime listens before it writes a word: 80 to 1200 in steps of 80, or 2400."""
    commit_delay: str | None
    """How soon words are committed: `fast`, `balanced` or `accurate`."""
    channels: int | None
    """Interleaved channels of raw audio; or with `channel_mode`, the channels to transcribe."""
    channel_mode: str | None
    """`separate` transcribes each channel as its own track; `mix` mixes them (the default)."""
    turn_detection: Mapping[str, Any] | None
    """How turns end, such as `{"type": "semantic"}`; without it the service reports no turns."""
    words: bool
    """Whether events have word times (the default)."""
    partials: bool
    """Whether text is sent before its segment ends (the default)."""
    recording: bool
    """Whether all of the audio exists already: the server may then decode it in long windows."""


class RequestOptions(Options, total=False):
    """Options of a one-shot request."""

    channels: int | None
    channel_mode: str | None
    """As for live sessions."""
    strict: bool | None
    """Whether a damaged recording is an error. Otherwise its intact part is transcribed, with warnings."""


def given(options: Mapping[str, Any], kind: type[ChangeableOptions]) -> dict[str, Any]:
    """The options that are set. Raises TypeError for a name that `kind` does not have."""
    known = kind.__annotations__  # of a TypedDict, with those that it inherits
    for name in options:
        if name not in known:
            raise TypeError(f"There is no option {name!r}; allowed: {', '.join(sorted(known))}.")
    return {name: value for name, value in options.items() if value is not None}
