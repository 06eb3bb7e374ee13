"""Helpers for tests of the Whisper engine: sessions that are fed and drained, and their outputs."""

from functools import cache

from shared.session_options import SessionOptions
from tests.bench.scoring import edits, normalised
from tests.engine_sessions import text_of
from tests.whisper_engines import load
from worker.engines.base import Output
from worker.engines.whisper.decoder import WhisperDecoder
from worker.engines.whisper.engine import WhisperEngine
from worker.engines.whisper.placement import Placement
from worker.engines.whisper.settings import WhisperSettings
from worker.engines.whisper.weights import model_directory

FILE = SessionOptions(recording=True, partials=False)
LIVE = SessionOptions()
QUIET = SessionOptions(partials=False)
"""A live session whose client requests only finals."""


@cache
def shared_model() -> WhisperEngine:
    """The embedded model, warm, for all tests of this process: to load it takes two seconds of a core.

    It has three slots. A longer interval of partials than by default takes less time; it is kept on a busy machine.
    """
    engine = load(threads=1, slots=3, settings=WhisperSettings(partial_interval_ms=900, load_share=0))
    engine.warm_up()
    return engine


@cache
def shared_decoder() -> WhisperDecoder:
    """The same with two threads and without sessions."""
    return WhisperDecoder(model_directory(None), Placement(compute_type="int8", threads=2))


def errors(outputs: list[Output], *said: str) -> int:
    """How many words are wrong."""
    return edits(normalised(" ".join(said)), normalised(text_of(outputs)))
