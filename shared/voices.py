"""Voices of speakers as text: the name of the model that has embedded them, and the embedding. Pure.

    ge2e:Nzi0tq…        # base64 of float16, little-endian

Embeddings of different models cannot be compared. An embedding identifies a person: it is never logged.
"""

import base64
import re
from typing import Final

MAX_EMBEDDING_CHARS: Final = 4096
MIN_VOICE_S: Final = 1.0
"""A shorter recording does not identify a speaker."""
MAX_VOICE_S: Final = 10.0
"""`known_speakers` with a longer recording are rejected; of a recording to embed, only the beginning is used."""
MAX_VOICE_FILE_BYTES: Final = 8 << 20
"""More than ten seconds of any usual format."""
_FORM: Final = re.compile(r"[A-Za-z0-9._-]{1,64}:[A-Za-z0-9+/]+={0,2}")


def is_embedding(text: str) -> bool:
    """Whether it has the form of an embedding."""
    if len(text) > MAX_EMBEDDING_CHARS or _FORM.fullmatch(text) is None:
        return False
    try:
        return len(base64.b64decode(text.partition(":")[2], validate=True)) % 2 == 0
    except ValueError:
        return False


def encoded(model: str, halves: bytes) -> str:
    """The text of an embedding; `halves` are its values as float16, little-endian."""
    return f"{model}:{base64.b64encode(halves).decode()}"


def decoded(text: str) -> tuple[str, bytes]:
    """The model and the values of an embedding that `is_embedding`."""
    model, _, halves = text.partition(":")
    return model, base64.b64decode(halves, validate=True)
