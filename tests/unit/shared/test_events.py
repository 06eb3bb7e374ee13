"""The stored options of a session, and how the next worker or frontend reads them."""

import json
from dataclasses import fields, replace

import orjson
import pytest

from shared.events import Event, EventType, Word
from shared.final_speakers import FinalSpeakers
from shared.session_options import CommitDelay, KeyTerm, KnownSpeaker, Mode, SessionOptions
from shared.turn_detection import TurnDetection
from voxtral_client.events import Final, Speakers


@pytest.mark.parametrize("mode", Mode)
def test_options_come_back_from_the_wire_as_they_were(mode: Mode) -> None:
    options = SessionOptions(
        mode=mode,
        language="en",
        languages=("en", "de"),
        delay_ms=480,
        commit_delay=CommitDelay.ACCURATE,
        recording=True,
        turns=True,
        model="echo",
        top_p=0.5,
    )
    read = SessionOptions.from_wire(orjson.loads(orjson.dumps(options.to_wire())))
    assert read == options
    assert isinstance(read.mode, Mode)
    assert isinstance(read.commit_delay, CommitDelay)


def test_fields_of_a_newer_version_are_ignored() -> None:
    wire = SessionOptions(language="en").to_wire()
    assert SessionOptions.from_wire(wire | {"speakers": 2, "languages": None}) == SessionOptions(language="en")


def test_turn_detection_is_read_as_it_was_written() -> None:
    options = SessionOptions(turn_detection=TurnDetection("pause", silence_duration_ms=300))
    wire = orjson.loads(orjson.dumps(options.to_wire()))
    assert wire["turn_detection"] == {"type": "pause", "silence_duration_ms": 300}
    assert SessionOptions.from_wire(wire) == options
    wire["turn_detection"]["of_a_newer_version"] = 1
    assert SessionOptions.from_wire(wire) == options


def test_options_that_use_no_newer_field_are_those_of_an_older_version() -> None:
    assert SessionOptions(prompt="Ada", words=False).to_wire() == {
        "mode": "transcribe",
        "prompt": "Ada",
        "words": False,
        "partials": True,
        "turns": False,
    }


def test_task_shows_every_option_that_is_no_text_and_no_other() -> None:
    given = {"prompt": "Ada", "language": "en", "languages": ("en",), "model": "echo", "delay_ms": 80, "top_p": 0.5}
    given |= {"numerals": True, "profanity": "mask", "filler_words": "drop", "redact": ("cards",)}
    given |= {"channels": 2, "revise": True, "progress_ms": 500}
    options = SessionOptions(
        **given,
        recording=True,
        max_new_tokens=5,
        temperature=0.0,
        commit_delay=CommitDelay.FAST,
        redact_terms=("Ada",),
        turn_detection=TurnDetection("semantic", eagerness="low", early=True, max_silence_ms=900),
        keyterms=(KeyTerm("Ada"),),
        diarize=True,
        max_speakers=3,
        known_speakers=(KnownSpeaker("Ada", "ge2e:AAAA"),),
    )
    assert {field.name for field in fields(SessionOptions)} - options.without_text().keys() == {
        "prompt",
        "redact_terms",
        "keyterms",
        "known_speakers",
        "webhook",  # these two are registered, and never stored with the options
        "webhook_events",
    }
    assert "Ada" not in str(options.without_text())
    assert SessionOptions.from_wire(options.without_text()) == replace(
        options, prompt=None, redact_terms=None, keyterms=None, known_speakers=None
    )


def test_key_terms_are_read_as_they_were_stored() -> None:
    options = SessionOptions(keyterms=(KeyTerm("Ann Lee", 3.5), KeyTerm("Bob")))
    stored = json.loads(json.dumps(options.to_wire()))
    assert SessionOptions.from_wire(stored) == options
    stored["keyterms"] = [{"term": "Ann Lee", "of_a_newer_version": 1}]
    assert SessionOptions.from_wire(stored).keyterms == (KeyTerm("Ann Lee"),)


def test_known_speakers_are_stored_without_audio() -> None:
    options = SessionOptions(known_speakers=(KnownSpeaker("Ada", audio=b"RIFF"), KnownSpeaker("Bo", "ge2e:AAAA")))
    stored = options.to_wire()
    assert stored["known_speakers"] == [{"name": "Ada"}, {"name": "Bo", "embedding": "ge2e:AAAA"}]
    assert SessionOptions.from_wire(stored).known_speakers == (KnownSpeaker("Ada"), KnownSpeaker("Bo", "ge2e:AAAA"))


def test_final_names_its_speaker_or_that_it_is_unsure() -> None:
    words = (Word("Yes", 0, 160, speaker="A"), Word("no", 160, 320, speaker_unsure=True))
    wire = Event(EventType.FINAL, "s1", 1, 0, "Yes no", 0, 320, words, speaker="A").to_wire()
    assert wire["speaker"] == "A"
    assert [word.get("speaker") for word in wire["words"]] == ["A", None]
    assert [word.get("speaker_unsure") for word in wire["words"]] == [None, True]
    assert Final.from_wire(wire).words[1].to_wire() == wire["words"][1]


def test_labels_of_past_finals_are_read_as_they_were_written() -> None:
    labels = (FinalSpeakers(3, "A", ("A", None)), FinalSpeakers(4, None))
    extra = {"segments": [one.to_wire() for one in labels]}
    read = Speakers.from_wire(Event(EventType.SPEAKERS, "s1", 9, extra=extra).to_wire())
    assert [(one.segment, one.speaker, one.speaker_unsure, one.word_speakers) for one in read.segments] == [
        (3, "A", False, ("A", None)),
        (4, None, True, ()),
    ]
