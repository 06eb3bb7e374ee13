"""The parameters of Deepgram's address."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontend.protocols.deepgram.parameters import query_of
from frontend.protocols.deepgram.query import REDACTED, Listen, listen
from shared.audio.pcm import AudioFormat
from shared.errors import InvalidFieldError, MissingFieldError
from shared.session_options import KeyTerm, SessionOptions
from shared.turn_detection import TurnDetection

NAMES = (
    *("model", "language", "detect_language", "interim_results", "endpointing", "utterance_end_ms", "vad_events"),
    *("smart_format", "numerals", "profanity_filter", "redact", "diarize", "keyterm", "keywords", "multichannel"),
    *("channels", "encoding", "sample_rate", "callback", "search", "tag"),
)


def parsed(*pairs: tuple[str, str], **query: str) -> Listen:
    return listen(query_of([*pairs, *query.items()]))


def test_without_parameters_the_service_chooses() -> None:
    assert parsed() == Listen(SessionOptions(partials=False, turns=True), None)


@pytest.mark.parametrize("model", ["nova-3", "nova-2-meeting", "Nova-3-general", "base", "enhanced", "flux-general-en"])
def test_models_of_deepgram_mean_the_best_one(model: str) -> None:
    assert parsed(model=model).options.model is None


@pytest.mark.parametrize("model", ["whisper-base", "novartis", "auto"])
def test_other_models_are_named(model: str) -> None:
    assert parsed(model=model).options.model == model


def test_live_parameters() -> None:
    wanted = parsed(
        *(("keyterm", "Voxtral"), ("keyterm", "Kyutai"), ("keywords", "snuffle:3"), ("keywords", "at 10:30 o'clock")),
        *(("redact", "pci"), ("redact", "numbers")),
        **{"language": "en-US", "encoding": "mulaw", "channels": "2", "multichannel": "true", "endpointing": "300"},
        **{"utterance_end_ms": "1000", "vad_events": "true", "smart_format": "true", "profanity_filter": "true"},
        **{"diarize": "true", "interim_results": "true", "tag": "mine", "unknown": "ignored"},
    )
    terms = (KeyTerm("Voxtral"), KeyTerm("Kyutai"), KeyTerm("snuffle", 3.0), KeyTerm("at 10:30 o'clock"))
    assert wanted == Listen(
        SessionOptions(
            language="en",
            turns=True,
            keyterms=terms,
            numerals=True,
            profanity="mask",
            redact=("cards", "numbers"),
            turn_detection=TurnDetection("pause", silence_duration_ms=300),
            channels=2,
            diarize=True,
        ),
        AudioFormat("pcmu", 8000, 2, separate=True),
        channels=2,
        utterance_end_s=1.0,
        vad_events=True,
    )


def test_session_names_its_webhook() -> None:
    url = "https://receiver.example/hook?token=s3cret"
    wanted = parsed(("webhook_events", "done"), ("webhook_events", "final"), webhook=url).options
    assert (wanted.webhook, wanted.webhook_events) == (url, ("done", "final"))


@pytest.mark.parametrize(
    ("query", "filler_words"),
    [
        ({}, None),
        ({"filler_words": "true"}, None),
        ({"filler_words": "False"}, "drop"),
        ({"filler_words": "0"}, "drop"),
    ],
)
def test_filler_words_are_kept_unless_they_are_unwanted(query: dict[str, str], filler_words: str | None) -> None:
    assert parsed(**query).options.filler_words == filler_words


def test_pauses_are_not_shorter_than_the_detector_can_hear() -> None:
    assert parsed(endpointing="10").options.turn_detection == TurnDetection("pause", silence_duration_ms=64)
    assert not parsed(endpointing="false").endpointing


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"callback": "https://voice.example"}, "callback"),
        ({"summarize": "v2"}, "summarize"),
        ({"redact": "phi"}, "redact"),
        ({"webhook": "receiver.example"}, "webhook"),
        ({"webhook_events": "partial"}, "webhook_events"),
        ({"encoding": "g729"}, "encoding"),
        ({"encoding": "linear16", "sample_rate": "1"}, "sample_rate"),
        ({"interim_results": "maybe"}, "interim_results"),
        ({"channels": "9", "multichannel": "true"}, "channels"),
        ({"filler_words": "some"}, "filler_words"),
        ({"language": "elvish"}, "language"),
        ({"detect_language": "elvish"}, "detect_language"),
        ({"keyterm": "x" * 101}, "keyterm"),
    ],
)
def test_what_cannot_be_done_is_rejected(query: dict[str, str], field: str) -> None:
    with pytest.raises(InvalidFieldError) as refused:
        parsed(**query)
    assert refused.value.field == field


def test_raw_audio_needs_its_rate() -> None:
    with pytest.raises(MissingFieldError):
        parsed(encoding="linear16")
    assert parsed(encoding="linear16", sample_rate="16000").audio_format == AudioFormat()
    assert parsed(encoding="ogg-opus").audio_format is None


VALUES: Any = st.sampled_from([*REDACTED, "true", "false", "", "0", "-1", "1e9", "nan", "word:nan", "multi", "en"])


@given(st.lists(st.tuples(st.sampled_from(NAMES), VALUES | st.text(max_size=12)), max_size=8))
def test_any_query_is_accepted_or_rejected_by_name(pairs: list[tuple[str, str]]) -> None:
    with contextlib.suppress(InvalidFieldError, MissingFieldError):
        assert listen(query_of(pairs)).options.to_wire()
