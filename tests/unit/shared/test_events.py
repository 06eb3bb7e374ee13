"""The stored options of a session, and how the next worker or frontend reads them."""

import json
from dataclasses import fields, replace

import orjson
import pytest

from shared.events import CommitDelay, KeyTerm, Mode, SessionOptions
from shared.turn_detection import TurnDetection


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
    given |= {"numerals": True, "profanity": "mask", "filler_words": "drop", "redact": ("cards",), "channels": 2}
    options = SessionOptions(
        **given,
        recording=True,
        max_new_tokens=5,
        temperature=0.0,
        commit_delay=CommitDelay.FAST,
        redact_terms=("Ada",),
        turn_detection=TurnDetection("semantic", eagerness="low", early=True, max_silence_ms=900),
        keyterms=(KeyTerm("Ada"),),
    )
    assert {field.name for field in fields(SessionOptions)} - options.without_text().keys() == {
        "prompt",
        "redact_terms",
        "keyterms",
    }
    assert "Ada" not in str(options.without_text())
    assert SessionOptions.from_wire(options.without_text()) == replace(
        options, prompt=None, redact_terms=None, keyterms=None
    )


def test_key_terms_are_read_as_they_were_stored() -> None:
    options = SessionOptions(keyterms=(KeyTerm("Ann Lee", 3.5), KeyTerm("Bob")))
    stored = json.loads(json.dumps(options.to_wire()))
    assert SessionOptions.from_wire(stored) == options
    stored["keyterms"] = [{"term": "Ann Lee", "of_a_newer_version": 1}]
    assert SessionOptions.from_wire(stored).keyterms == (KeyTerm("Ann Lee"),)
