"""The session object of OpenAI's dialect: how updates merge, which are refused, and what becomes of them here."""

from typing import Any

import pytest

from frontend.protocols.detection import realtime_dialect
from frontend.protocols.dialect import Append, Check, Configure, Open
from frontend.protocols.openai.realtime import OpenAIRealtime
from shared.audio.pcm import AudioFormat
from shared.errors import InvalidFieldError
from shared.session_options import CommitDelay, KeyTerm
from tests.unit.frontend.protocols.openai.openai_wire import Wire, connected, error_of, final, kinds, partial, update


@pytest.mark.parametrize(
    ("audio_format", "encoding", "rate_hz"),
    [
        ({"type": "audio/pcm"}, "pcm_s16le", 24_000),
        ({"type": "audio/pcm", "rate": 16_000}, "pcm_s16le", 16_000),
        ({"type": "audio/pcmu"}, "pcmu", 8_000),
        ({"type": "audio/pcma", "rate": 8_000}, "pcma", 8_000),
        (None, "pcm_s16le", 24_000),
    ],
)
def test_session_is_opened_by_the_first_audio(audio_format: Any, encoding: str, rate_hz: int) -> None:
    wire = connected(format=audio_format, transcription={"model": "m", "language": "de", "delay": "low"})
    assert wire.taken(Open) == []
    [check] = wire.taken(Check)
    wire.append(100)
    wire.append(100)
    [opening] = wire.taken(Open)
    assert opening.audio_format == AudioFormat(encoding, rate_hz)
    assert opening.options == check.options
    options = opening.options
    assert (options.model, options.language, options.turns) == ("m", "de", True)
    assert (options.delay_ms, options.commit_delay) == (240, CommitDelay.FAST)
    assert len(wire.taken(Append)) == 2


def test_updates_merge_and_null_clears() -> None:
    wire = connected(transcription={"model": "m", "language": "en", "prompt": "a"})
    update(wire, transcription={"language": "", "keywords": ["Voxtral", "Redis"]})
    update(
        wire, turn_detection={"type": "server_vad", "silence_duration_ms": 200}, noise_reduction={"type": "near_field"}
    )
    answer = wire.tell(
        type="session.update",
        session={"type": "transcription", "include": ["item.input_audio_transcription.logprobs"]},
    )
    inputs = answer[0]["session"]["audio"]["input"]
    assert inputs["transcription"] == {
        "model": "m", "language": None, "prompt": "a", "keywords": ["Voxtral", "Redis"]
    }  # fmt: skip
    assert inputs["turn_detection"] == {
        "type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 200
    }  # fmt: skip
    assert inputs["noise_reduction"] == {"type": "near_field"}
    inputs = update(wire, turn_detection={"type": "semantic_vad"}, noise_reduction=None)[0]["session"]["audio"]["input"]
    assert inputs["turn_detection"] == {"type": "semantic_vad", "eagerness": "auto"}
    assert inputs["noise_reduction"] is None
    wire.append(100)
    options = wire.taken(Open)[0].options
    assert (options.prompt, options.keyterms) == ("a", (KeyTerm("Voxtral"), KeyTerm("Redis")))


@pytest.mark.parametrize(
    ("session", "code", "param"),
    [
        ([], "invalid_type", "session"),
        ({"type": "realtime"}, "invalid_parameter", "session.type"),
        ({"type": "realtime", "model": "gpt-realtime"}, "invalid_parameter", "session.type"),
        ({"voice": "x"}, "unknown_parameter", "session.voice"),
        ({"include": ["text"]}, "invalid_value", "session.include"),
        ({"audio": {"output": {}}}, "unknown_parameter", "session.audio.output"),
        ({"audio": {"input": {"format": "pcm16"}}}, "invalid_type", "session.audio.input.format"),
        ({"audio": {"input": {"format": {"type": "audio/opus"}}}}, "invalid_value", "session.audio.input.format.type"),
        (
            {"audio": {"input": {"format": {"type": "audio/pcm", "rate": 1}}}},
            "invalid_value",
            "session.audio.input.format.rate",
        ),
        (
            {"audio": {"input": {"transcription": {"language": "klingon"}}}},
            "invalid_value",
            "session.audio.input.transcription.language",
        ),
        (
            {"audio": {"input": {"transcription": {"languages": ["en", "klingon"]}}}},
            "invalid_value",
            "session.audio.input.transcription.languages",
        ),
        (
            {"audio": {"input": {"transcription": {"languages": ["en"] * 21}}}},
            "invalid_value",
            "session.audio.input.transcription.languages",
        ),
        (
            {"audio": {"input": {"transcription": {"delay": "none"}}}},
            "invalid_value",
            "session.audio.input.transcription.delay",
        ),
        (
            {"audio": {"input": {"transcription": {"keywords": [1]}}}},
            "invalid_type",
            "session.audio.input.transcription.keywords[0]",
        ),
        (
            {"audio": {"input": {"turn_detection": {"type": "server_vad", "threshold": 2}}}},
            "invalid_value",
            "session.audio.input.turn_detection.threshold",
        ),
        (
            {"audio": {"input": {"turn_detection": {"type": "semantic_vad", "threshold": 1}}}},
            "unknown_parameter",
            "session.audio.input.turn_detection.threshold",
        ),
        (
            {"audio": {"input": {"turn_detection": {"type": "server_vad", "silence_duration_ms": True}}}},
            "invalid_type",
            "session.audio.input.turn_detection.silence_duration_ms",
        ),
    ],
)
def test_update_that_asks_for_the_impossible_changes_nothing(session: Any, code: str, param: str) -> None:
    wire = connected()
    before = update(wire)[0]["session"]
    error = error_of(wire.tell(type="session.update", event_id="e9", session=session))
    assert (error["type"], error["code"], error["param"], error["event_id"]) == (
        "invalid_request_error", code, param, "e9"
    )  # fmt: skip
    assert update(wire)[0]["session"] == before


def test_update_with_a_model_that_does_not_run_is_taken_back() -> None:
    wire = connected()
    before = update(wire)[0]["session"]
    wire.fails[Check] = InvalidFieldError("model", "x", "auto, echo")
    error = error_of(update(wire, transcription={"model": "x"}))
    assert (error["code"], error["param"]) == ("model_not_found", "session.audio.input.transcription.model")
    assert "echo" in error["message"]
    wire.fails.clear()
    assert update(wire)[0]["session"] == before


@pytest.mark.parametrize(
    ("given", "languages"), [(["en", "de"], ("en", "de")), (["en"], ("en",)), ([], None), (None, None)]
)
def test_languages_limit_what_is_detected(given: Any, languages: tuple[str, ...] | None) -> None:
    wire = connected(transcription={"model": "m", "languages": given})
    assert update(wire)[0]["session"]["audio"]["input"]["transcription"]["languages"] == given
    wire.append(100)
    [opening] = wire.taken(Open)
    assert (opening.options.language, opening.options.languages) == (None, languages)


def test_language_that_is_not_one_of_the_languages_is_refused_by_its_path() -> None:
    wire = connected()
    wire.fails[Check] = InvalidFieldError("languages", ["xx"], "en")
    error = error_of(update(wire, transcription={"languages": ["xx"]}))
    assert error["param"] == "session.audio.input.transcription.languages"


def test_session_may_begin_with_what_its_token_was_made_for() -> None:
    session = {"type": "transcription", "audio": {"input": {"transcription": {"model": "m"}, "turn_detection": None}}}
    dialect = realtime_dialect({}, "", [], session)
    assert isinstance(dialect, OpenAIRealtime)
    wire = Wire(dialect)
    assert wire.sent[0]["session"]["audio"]["input"]["transcription"]["model"] == "m"
    wire.append(100)
    assert wire.taken(Open)[0].options.model == "m"
    with pytest.raises(InvalidFieldError, match=r"'session\.voice'"):
        realtime_dialect({}, "", [], {"voice": "x"})


def test_model_and_format_are_fixed_by_the_first_audio() -> None:
    wire = connected()
    wire.append(100)
    error = error_of(update(wire, format={"type": "audio/pcmu"}))
    assert (error["code"], error["param"]) == ("invalid_parameter", "session.audio.input.format")
    error = error_of(update(wire, transcription={"model": "other"}))
    assert (error["code"], error["param"]) == ("invalid_parameter", "session.audio.input.transcription.model")
    assert kinds(update(wire, transcription={"language": "fr"})) == ["session.updated"]
    [configure] = wire.taken(Configure)
    assert configure.options.language == "fr"


def test_model_of_the_address_serves_where_the_session_names_none() -> None:
    wire = Wire(OpenAIRealtime("gpt-realtime"))
    wire.fails[Open] = InvalidFieldError("model", "gpt-realtime", "auto, echo")
    error = error_of(wire.append(100))
    assert (error["code"], error["param"]) == ("model_not_found", "model")
    wire.fails.clear()
    update(wire, transcription={"model": "echo"})
    wire.append(50)
    assert wire.taken(Open)[-1].options.model == "echo"
    assert error_of(wire.commit())["code"] == "input_audio_buffer_commit_empty"


def test_beta_clients_are_answered_in_their_own_words() -> None:
    wire = Wire(OpenAIRealtime(is_beta=True))
    assert wire.sent[0]["type"] == "transcription_session.created"
    answer = wire.tell(
        type="transcription_session.update",
        session={
            "input_audio_format": "g711_ulaw",
            "input_audio_transcription": {"model": "m", "prompt": "", "noise_reduction_type": "near_field"},
            "turn_detection": None,
            "client_secret": {"expires_at": {"seconds": 60}},
        },
    )
    assert answer[0]["type"] == "transcription_session.updated"
    session = answer[0]["session"]
    assert session["input_audio_format"] == "g711_ulaw"
    assert session["input_audio_transcription"] == {"model": "m", "language": None, "prompt": None}
    assert session["input_audio_noise_reduction"] == {"type": "near_field"}
    assert session["turn_detection"] is None
    wire.append(100)
    assert wire.taken(Open)[0].audio_format == AudioFormat("pcmu", 8000)
    assert kinds(wire.commit()) == ["committed", "item.created"]
    error = error_of(wire.tell(type="transcription_session.update", session={"input_audio_format": "opus"}))
    assert error["param"] == "session.input_audio_format"


def test_beta_update_without_the_header_is_understood() -> None:
    wire = Wire(OpenAIRealtime())
    session = {"input_audio_transcription": {"model": "m"}}
    assert kinds(wire.tell(type="transcription_session.update", session=session)) == ["transcription_session.updated"]
    wire.append(200)
    partial(wire, "one")
    assert kinds(final(wire, "one")) == ["speech_stopped", "committed", "item.created", "delta", "completed"]
