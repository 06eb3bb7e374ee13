"""The parameters that `/v1/listen` and `/v2/listen` have in common. Unknown ones are ignored, as Deepgram does."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from frontend.protocols.keyterms import distinct
from frontend.protocols.kinds import Flag, Integer
from frontend.protocols.options import (
    MAX_BOOST,
    MAX_KEYTERM_CHARS,
    MAX_KEYTERMS,
    MAX_MODEL_CHARS,
    OPTIONS,
    WEBHOOK,
    parse_text,
)
from shared.audio.pcm import AudioFormat
from shared.errors import InvalidFieldError, MissingFieldError
from shared.session_options import KeyTerm

Query = Mapping[str, Sequence[str]]
"""The values of each parameter, in the order in which they were sent."""

ENCODINGS: Final = {"linear16": "pcm_s16le", "linear32": "pcm_s32le", "mulaw": "pcmu", "alaw": "pcma"}
"""Deepgram's names of raw encodings, and ours."""
CONTAINERS: Final = ("opus", "ogg-opus", "flac")
"""Encodings that are read from the container of the audio."""
TELEPHONE_HZ: Final = 8000
OWN_MODELS: Final = re.compile(r"(nova|flux|enhanced|base)([-0-9].*)?")
"""Deepgram's models. They mean its service, which this service replaces: the best running model serves them."""
_FLAG: Final = Flag()


def query_of(pairs: Iterable[tuple[str, str]]) -> Query:
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def last(query: Query, name: str) -> str | None:
    """An empty value counts as absent."""
    values = query.get(name, ())
    return (values[-1] or None) if values else None


def flag(query: Query, name: str) -> bool:
    return bool(parse_text(name, last(query, name), _FLAG))


def integer(query: Query, name: str, kind: Integer) -> int | None:
    value: int | None = parse_text(name, last(query, name), kind)
    return value


def running_model(query: Query) -> str | None:
    name = last(query, "model")
    if name is None or OWN_MODELS.fullmatch(name.casefold()):
        return None
    return name[:MAX_MODEL_CHARS]


def webhook(query: Query) -> dict[str, Any]:
    """The options that say where events of the session are sent: our additions."""
    events = ",".join(query.get("webhook_events", ())) or None
    values = {"webhook": last(query, "webhook"), "webhook_events": events}
    return {name: parse_text(name, values[name], OPTIONS[name].kind) for name in WEBHOOK}


def redaction(query: Query, allowed: Mapping[str, tuple[str, ...]]) -> tuple[str, ...] | None:
    """What the values of `redact` mean together. `allowed`: what each of them means."""
    kinds: list[str] = []
    for value in query.get("redact", ()):
        if value.lower() in ("", "false"):
            continue
        if value.lower() not in allowed:
            raise InvalidFieldError("redact", value, ", ".join(allowed))
        kinds += allowed[value.lower()]
    return tuple(dict.fromkeys(kinds)) or None


def key_terms(query: Query) -> tuple[KeyTerm, ...] | None:
    """`keyterm` has terms; `keywords` has terms that may end with a colon and their weight."""
    terms = [_term("keyterm", value.strip()) for value in query.get("keyterm", ()) if value.strip()]
    for value in query.get("keywords", ()):
        name, _, weight = value.rpartition(":")
        try:
            boost = min(max(float(weight), 0.0), MAX_BOOST) if name else None
        except ValueError:
            name, boost = value, None
        word = (name or value).strip()
        if word:
            terms.append(_term("keywords", word) if boost is None else _term("keywords", word, boost))
    if len(found := distinct(terms)) > MAX_KEYTERMS:
        raise InvalidFieldError("keyterm and keywords", f"{len(found)} terms", f"at most {MAX_KEYTERMS} together")
    return found or None


def _term(field: str, term: str, *boost: float) -> KeyTerm:
    if len(term) > MAX_KEYTERM_CHARS or (boost and boost[0] != boost[0]):
        raise InvalidFieldError(field, "…", f"a term of 1 to {MAX_KEYTERM_CHARS} characters")
    return KeyTerm(term, *boost)


def audio_format(query: Query, channels: int, *, separate: bool) -> AudioFormat | None:
    encoding = last(query, "encoding")
    if encoding is None or encoding in CONTAINERS:
        return None
    if encoding not in ENCODINGS:
        raise InvalidFieldError("encoding", encoding, ", ".join((*ENCODINGS, *CONTAINERS)))
    rate_hz = integer(query, "sample_rate", Integer())
    if rate_hz is None and encoding in ("linear16", "linear32"):
        raise MissingFieldError(f"The parameter sample_rate is missing; {encoding} requires it.", field="sample_rate")
    return AudioFormat(ENCODINGS[encoding], rate_hz or TELEPHONE_HZ, channels, separate=separate)
