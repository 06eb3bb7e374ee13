"""Helpers for tests of the Whisper engine: sessions that are fed and drained, and their outputs."""

from shared.session_options import SessionOptions
from tests.bench.scoring import edits, normalised
from tests.engine_sessions import text_of
from worker.engines.base import Output

FILE = SessionOptions(recording=True, partials=False)
LIVE = SessionOptions()
QUIET = SessionOptions(partials=False)
"""A live session whose client requests only finals."""


def errors(outputs: list[Output], *said: str) -> int:
    """How many words are wrong."""
    return edits(normalised(" ".join(said)), normalised(text_of(outputs)))
