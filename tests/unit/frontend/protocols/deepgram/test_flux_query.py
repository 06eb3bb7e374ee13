"""The parameters of Flux, and how `Configure` changes them."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontend.protocols.deepgram.flux_query import FluxListen, configured, flux_listen
from frontend.protocols.deepgram.parameters import query_of
from shared.errors import VoxtralError
from shared.session_options import KeyTerm, Profanity
from shared.turn_detection import TurnDetection


def wanted(*pairs: tuple[str, str]) -> FluxListen:
    return flux_listen(query_of(pairs))


def test_defaults_are_semantic_turns_of_at_most_five_seconds_of_silence() -> None:
    found = wanted(("model", "flux-general-multi"), ("encoding", "mulaw"))
    assert found.options.turn_detection == TurnDetection("semantic", max_silence_ms=5000)
    assert (found.options.model, found.options.language, found.options.turns) == (None, None, True)
    assert found.audio_format is not None
    assert (found.audio_format.encoding, found.audio_format.sample_rate) == ("pcmu", 8000)
    assert found.thresholds == {"eot_timeout_ms": 5000}


def test_thresholds_are_those_of_turn_detection() -> None:
    found = wanted(("eot_threshold", "0.8"), ("eager_eot_threshold", "0.4"), ("eot_timeout_ms", "900"))
    detection = found.options.turn_detection
    assert detection is not None
    assert (detection.end_threshold, detection.early_threshold, detection.max_silence_ms) == (0.8, 0.4, 900)
    assert detection.early
    assert found.thresholds == {"eager_eot_threshold": 0.4, "eot_threshold": 0.8, "eot_timeout_ms": 900}


def test_options_of_the_text() -> None:
    found = wanted(
        *(("keyterm", "Kowalczyk"), ("keyterm", "Ann"), ("numerals", "true"), ("profanity_filter", "true")),
        *(("redact", "aggressive_numbers"), ("language_hint", "de"), ("language_hint", "en"), ("tag", "a")),
    )
    options = found.options
    assert options.keyterms == (KeyTerm("Kowalczyk"), KeyTerm("Ann"))
    assert (options.numerals, options.profanity, options.redact) == (True, Profanity.MASK, ("numbers",))
    assert options.languages == ("de", "en")
    english = wanted(("model", "flux-general-en"), ("language_hint", "de")).options
    assert (english.language, english.languages) == ("en", None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("eot_threshold", "0.4"),
        ("eot_threshold", "1.1"),
        ("eot_threshold", "nan"),
        ("eager_eot_threshold", "0.2"),
        ("eager_eot_threshold", "much"),
        ("eot_timeout_ms", "499"),
        ("redact", "pci"),
        ("encoding", "mp3"),
        ("encoding", "linear16"),
        ("numerals", "maybe"),
        ("language_hint", "!"),
    ],
)
def test_bad_values_are_rejected_by_their_name(name: str, value: str) -> None:
    with pytest.raises(VoxtralError) as refused:
        wanted((name, value))
    assert name in ("encoding", refused.value.field)


def test_an_eager_threshold_is_at_most_the_other_one() -> None:
    with pytest.raises(VoxtralError, match=r"eager_eot_threshold is 0\.9; allowed: at most eot_threshold\."):
        wanted(("eot_threshold", "0.8"), ("eager_eot_threshold", "0.9"))


def test_configure_changes_what_it_names() -> None:
    before = wanted(("eot_threshold", "0.8"), ("keyterm", "Ann"))
    assert configured({"keyterms": None, "thresholds": None}, before) == {}
    changes = configured({"thresholds": {"eager_eot_threshold": 0.5}, "keyterms": [], "numerals": False}, before)
    detection = changes.pop("turn_detection")
    assert (detection.end_threshold, detection.early_threshold, detection.early) == (0.8, 0.5, True)
    assert changes == {"keyterms": None, "numerals": None}
    assert configured({"language_hints": ["de"]}, before) == {"languages": ("de",)}
    assert configured({"language_hints": []}, before) == {"languages": None}


@pytest.mark.parametrize(
    "message",
    [
        {"thresholds": 1},
        {"thresholds": {"eot_threshold": True}},
        {"thresholds": {"eager_eot_threshold": 0.9}},
        {"keyterms": [""]},
        {"keyterms": ["a"] * 201},
        {"keyterms": {"term": "a"}},
        {"numerals": "yes"},
        {"language_hints": "de"},
    ],
)
def test_bad_changes_are_rejected(message: dict[str, Any]) -> None:
    with pytest.raises(VoxtralError):
        configured(message, wanted(("eot_threshold", "0.8")))


def test_languages_are_only_for_the_multilingual_model() -> None:
    with pytest.raises(VoxtralError, match="language_hints"):
        configured({"language_hints": ["de"]}, wanted(("model", "flux-general-en")))


NAMES = ("model", "encoding", "sample_rate", "eot_threshold", "eager_eot_threshold", "eot_timeout_ms", "keyterm")
PAIRS = st.tuples(st.sampled_from((*NAMES, "language_hint", "numerals", "redact", "tag")), st.text(max_size=12))
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from(("thresholds", "keyterms", "language_hints", "numerals", "profanity_filter"))


@given(st.lists(PAIRS, max_size=6), st.dictionaries(FIELDS, JSON, max_size=4))
def test_any_parameters_are_accepted_or_rejected(pairs: list[tuple[str, str]], message: dict[str, Any]) -> None:
    with contextlib.suppress(VoxtralError):
        configured(message, wanted(*pairs))
