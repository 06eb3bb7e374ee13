"""What the engine writes without speech: ten minutes of sounds without words, live and as recordings."""

import argparse
from collections.abc import Sequence

from shared.events import SAMPLE_RATE_HZ
from shared.session_options import SessionOptions
from tests.bench.figures import Figure
from tests.bench.scoring import plain_words
from tests.bench.screen import Script, Sight
from tests.bench.transcripts import transcribe_recording
from tests.bench.virtual_time import Clock, play
from tests.noise_set import KINDS, MINUTES
from tests.whisper_engines import load

LANGUAGES = (None, "en")
"""Detected or given, half of the time each: clients that specify no language use detection."""


def measure(_arguments: argparse.Namespace) -> list[Figure]:
    engine = load(threads=2, slots=4)
    engine.warm_up()
    duration_s = MINUTES * 60 / len(KINDS) / len(LANGUAGES)
    sounds = [
        (f"{kind}, {language or 'any language'}", language, make(duration_s, seed))
        for seed, language in enumerate(LANGUAGES)
        for kind, make in KINDS.items()
    ]
    scripts = [Script(pcm, [], []) for _, _, pcm in sounds]
    options = [SessionOptions(language=language) for _, language, _ in sounds]
    screens, _, _ = play(engine, Clock(engine, "wall"), scripts, options, streams=4)
    live, file = 0, 0
    for (name, language, pcm), screen in zip(sounds, screens, strict=True):
        shown = [_longest(history) for history in screen.shown.values()]
        written = transcribe_recording(engine, pcm, language).text
        live += sum(len(plain_words(text)) for text in shown)
        file += len(plain_words(written))
        if any(shown) or written:
            print(f"{name}: live {shown}, recording {written!r}", flush=True)
    seconds = sum(len(pcm) for _, _, pcm in sounds) / SAMPLE_RATE_HZ
    assert round(seconds) == MINUTES * 60
    return [
        Figure(f"words in {MINUTES} minutes without speech, live", live, "words", 0),
        Figure(f"words in {MINUTES} minutes without speech, recordings", file, "words", 0),
    ]


def _longest(history: Sequence[Sight]) -> str:
    """The longest text that a segment has shown at one time."""
    return max((sight.text for sight in history), key=lambda text: len(plain_words(text)))
