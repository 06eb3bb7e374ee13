"""faster-whisper still has what `worker.engines.loading.faster_whisper_internals` relies on."""

import faster_whisper.tokenizer
import faster_whisper.utils

from tests.internals import Canary
from worker.engines.loading.faster_whisper_internals import (
    LANGUAGE_CODES,
    REPOSITORIES,
    SILERO_VAD,
    FeatureExtractor,
    Tokenizer,
)

canary = Canary("faster-whisper", "worker/engines/loading/faster_whisper_internals.py")


def test_faster_whisper_has_its_tables() -> None:
    canary.has(faster_whisper.tokenizer, "_LANGUAGE_CODES")
    canary.has(faster_whisper.utils, "_MODELS")
    canary.holds(LANGUAGE_CODES[:2] == ("af", "am") and "en" in LANGUAGE_CODES, "_LANGUAGE_CODES holds no codes")
    repository = REPOSITORIES.get("small.en", "")
    canary.holds(repository.count("/") == 1, f"_MODELS has {repository!r} for small.en, which is no Hub repository")


def test_faster_whisper_brings_the_network_that_finds_speech() -> None:
    canary.holds(SILERO_VAD.is_file(), f"there is no {SILERO_VAD.name} among its assets")


def test_faster_whisper_computes_features_and_spells_tokens() -> None:
    canary.has(FeatureExtractor(feature_size=80), "__call__", "mel_filters")
    canary.takes(Tokenizer.__init__, "self", "tokenizer", "multilingual", "task", "language")
