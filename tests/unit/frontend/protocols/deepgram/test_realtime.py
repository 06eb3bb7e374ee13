"""Deepgram's live messages, one by one, against the models of its own SDK."""

import contextlib
import json
from collections.abc import Iterable
from typing import Any

import pytest
from deepgram.core.unchecked_base_model import construct_type
from deepgram.listen.v1.socket_client import V1SocketClientResponse
from hypothesis import given
from hypothesis import strategies as st

from frontend.protocols.deepgram.parameters import query_of
from frontend.protocols.deepgram.query import listen
from frontend.protocols.deepgram.realtime import DeepgramRealtime
from frontend.protocols.dialect import EARLIER_AUDIO, Action, Append, Change, Check, Commit, Finish, Hangup, Open, Send
from shared.audio.pcm import AudioFormat
from shared.bus.event_log import LoggedEvent
from shared.errors import (
    ForbiddenError,
    IdleTimeoutError,
    InvalidAudioError,
    InvalidFieldError,
    MessageTooLargeError,
    ModeUnsupportedError,
    RateLimitedError,
    ServerBusyError,
    UnauthorizedError,
    UnknownTypeError,
    VoxtralError,
)
from shared.session_options import KeyTerm

SECOND = b"\1\0" * 16_000
WORDS = [
    {"text": "Hello", "start": 0.1, "end": 0.4, "confidence": 0.9, "speaker": "A"},
    {"text": "world.", "start": 0.5, "end": 0.9, "speaker": "B"},
]
FINAL = {"seq": 3, "segment": 0, "text": "Hello world.", "start": 0.0, "end": 1.0, "words": WORDS}


def begun(**query: str) -> DeepgramRealtime:
    """A session that has received a second of audio."""
    query = {"encoding": "linear16", "sample_rate": "16000"} | query
    dialect = DeepgramRealtime("r1", listen(query_of(query.items())))
    assert [type(action) for action in dialect.greet()] == [Check]
    opening, append = dialect.receive(SECOND)
    assert isinstance(opening, Open)
    assert (opening.audio_format, append) == (AudioFormat(), Append(SECOND))
    assert told(dialect, "ready", model="echo", engine="echo") == []
    return dialect


def told(dialect: DeepgramRealtime, kind: str, **fields: Any) -> list[Action]:
    return list(dialect.render(LoggedEvent(b"", {"type": kind, **fields})))


def sent(actions: Iterable[Action]) -> list[dict[str, Any]]:
    """The messages among the actions, each of which the SDK must know."""
    messages = [action.message for action in actions if isinstance(action, Send)]
    for message in messages:
        parsed = construct_type(type_=V1SocketClientResponse, object_=json.loads(json.dumps(message)))
        assert type(parsed).__name__ == f"ListenV1{message['type']}"
    return messages


def control(kind: str) -> str:
    return json.dumps({"type": kind})


def test_interim_and_final_results() -> None:
    dialect = begun(interim_results="true", diarize="true")
    [interim] = sent(told(dialect, "partial", seq=2, segment=0, text="Hello", start=0.0, end=0.5))
    assert (interim["is_final"], interim["speech_final"]) == (False, False)
    assert interim["channel"]["alternatives"][0]["transcript"] == "Hello"
    [final] = sent(told(dialect, "final", **FINAL, speaker="A"))
    assert (final["is_final"], final["speech_final"], final["from_finalize"]) == (True, True, False)
    assert (final["start"], final["duration"], final["channel_index"]) == (0.0, 1.0, [0, 1])
    first, second = final["channel"]["alternatives"][0]["words"]
    assert first == {"word": "hello", "start": 0.1, "end": 0.4, "confidence": 0.9, "punctuated_word": "Hello"} | {
        "speaker": 0
    }
    assert (second["word"], second["punctuated_word"], second["speaker"]) == ("world", "world.", 1)
    about = final["metadata"]["model_info"]
    assert (about["name"], about["arch"]) == ("echo", "echo")


def test_speech_is_final_only_after_the_pause_that_the_client_asks_for() -> None:
    """A long segment has finals before that."""
    dialect = begun(endpointing="800", diarize="true")
    [part] = sent(told(dialect, "final", **FINAL, speaker="A"))
    assert (part["is_final"], part["speech_final"]) == (True, False)
    for segment in (1, 2):
        assert told(dialect, "speech_stopped", end=2.0 * segment) == []
        end = {"segment": segment, "start": 1.0, "end": 2.0 * segment - 0.2}
        [final] = sent(told(dialect, "final", **FINAL | end, speaker="A"))
        assert (final["is_final"], final["speech_final"]) == (True, True)
    told(dialect, "speech_stopped", end=9.0)
    [part] = sent(told(dialect, "final", **FINAL | {"segment": 3, "start": 4.0, "end": 6.0}, speaker="A"))
    assert not part["speech_final"]


def test_finalize_is_answered_once_with_the_last_final() -> None:
    dialect = begun()
    assert list(dialect.receive(control("Finalize"))) == [Commit()]
    assert told(dialect, "final", **FINAL) == []
    [result] = sent(told(dialect, "committed", end=1.0))
    assert (result["from_finalize"], result["speech_final"]) == (True, False)
    list(dialect.receive(control("Finalize")))
    [result] = sent(told(dialect, "committed", end=1.0))
    assert (result["from_finalize"], result["channel"]["alternatives"][0]["transcript"]) == (True, "")


def test_the_end_is_metadata_and_an_ordinary_close() -> None:
    for end in (control("CloseStream"), b""):
        dialect = begun()
        assert list(dialect.receive(end)) == [Finish()]
        assert list(dialect.receive(SECOND)) == []
        actions = told(dialect, "done", duration=1.0)
        [metadata] = sent(actions)
        assert (metadata["type"], metadata["duration"], metadata["request_id"]) == ("Metadata", 1.0, "r1")
        assert actions[-1] == Hangup(1000, "")
    silent = DeepgramRealtime("r1", listen({}))
    assert [type(action) for action in silent.receive(control("CloseStream"))] == [Send, Hangup]


def test_keep_alive_is_input_of_a_session() -> None:
    assert list(DeepgramRealtime("r1", listen({})).receive(control("KeepAlive"))) == []
    assert list(begun().receive(control("KeepAlive"))) == [Change({})]


def test_configure_changes_the_text_from_the_next_segment_on() -> None:
    dialect = begun()
    change, confirmed = dialect.receive(
        json.dumps({"type": "Configure", "keyterms": ["Ann"], "features": {"numerals": True, "dictation": True}})
    )
    assert change == Change({"keyterms": (KeyTerm("Ann"),), "numerals": True})
    assert sent([confirmed]) == [{"type": "ConfigureSuccess", "request_id": "r1", "keyterms": ["Ann"]}]
    [_, confirmed] = dialect.receive(json.dumps({"type": "Configure", "features": {"profanity_filter": False}}))
    assert "keyterms" not in sent([confirmed])[0]


def test_a_configure_that_fails_changes_nothing() -> None:
    dialect = DeepgramRealtime("r1", listen({}))
    for message in ({"keyterms": ["a"] * 201}, {"keyterms": 1}, {"features": []}, {"features": {"numerals": "yes"}}):
        text = json.dumps({"type": "Configure", **message})
        with pytest.raises(InvalidFieldError) as refused:
            dialect.receive(text)
        [failure] = sent(dialect.refuse(refused.value, text))
        assert (failure["type"], failure["code"]) == ("ConfigureFailure", "CONFIGURE_INVALID_FIELD")
    text = json.dumps({"type": "Configure", "keyterms": ["Ann"]})
    assert isinstance(next(iter(dialect.receive(text))), Check)
    list(dialect.refuse(ServerBusyError("no"), text))
    [opening, _] = dialect.receive(SECOND)
    assert isinstance(opening, Open)
    assert opening.options.keyterms is None


def test_an_utterance_ends_after_the_silence_that_was_asked_for() -> None:
    dialect = begun(utterance_end_ms="1000")
    told(dialect, "final", **FINAL)
    assert sent(dialect.receive(SECOND)) == []  # 2.0 s; the last word has ended at 0.9 s
    [end] = sent(dialect.receive(SECOND))
    assert end == {"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": 0.9}
    assert sent(dialect.receive(SECOND)) == []


def test_speech_that_goes_on_does_not_end_an_utterance() -> None:
    dialect = begun(utterance_end_ms="1000", vad_events="true")
    told(dialect, "final", **FINAL)
    [started] = sent(told(dialect, "speech_started", start=1.4))
    assert started == {"type": "SpeechStarted", "channel": [0, 1], "timestamp": 1.4}
    assert sent([*dialect.receive(SECOND), *dialect.receive(SECOND)]) == []


def test_late_speech_ends_the_utterance_before_it() -> None:
    dialect = begun(utterance_end_ms="1000")
    list(dialect.receive(SECOND * 9))
    told(dialect, "final", **FINAL)  # the client is far ahead, so the received audio tells nothing
    assert sent(dialect.receive(SECOND)) == []
    [end] = sent(told(dialect, "speech_started", start=2.5))
    assert end["type"] == "UtteranceEnd"


def test_errors_close_with_the_codes_of_deepgram() -> None:
    cases: tuple[tuple[VoxtralError, bytes | None, int, str], ...] = (
        (InvalidAudioError("no"), EARLIER_AUDIO, 1008, "DATA-0000"),
        (InvalidFieldError("language", "xx", "en"), SECOND, 1008, "INVALID_FIELD"),
        (InvalidFieldError("model", "nobody", "echo"), None, 1008, "INVALID_FIELD"),
        (ModeUnsupportedError("no"), SECOND, 1008, "MODE_UNSUPPORTED"),
        (RateLimitedError("no"), SECOND, 1008, "RATE_LIMITED"),
        (UnauthorizedError("no"), SECOND, 1008, "UNAUTHORIZED"),
        (ForbiddenError("no"), SECOND, 1008, "FORBIDDEN"),
        (MessageTooLargeError(None, 1), None, 1008, "MESSAGE_TOO_LARGE"),
        (IdleTimeoutError(60), None, 1011, "NET-0001"),
        (ServerBusyError("no"), SECOND, 1011, "SERVER-0000"),
    )
    for error, message, code, reason in cases:
        actions = list(begun().refuse(error, message))
        [body] = sent(actions)
        assert (body["type"], body["description"]) == ("Error", error.message)
        assert actions[-1] == Hangup(code, reason)
    [body] = sent(begun().refuse(UnknownTypeError("what"), control("Dance")))
    assert body["variant"] == "SchemaError"


KINDS = ("KeepAlive", "Finalize", "Configure", "CloseStream", "x")
MESSAGES = st.sampled_from([*map(control, KINDS), SECOND, b"", "{", "[]", "1"])
EVENTS = st.sampled_from(
    [
        ("partial", {"seq": 1, "segment": 0, "text": "Hello", "start": 0.0, "end": 0.5}),
        ("final", FINAL),
        ("speech_started", {"start": 3.0}),
        ("committed", {"end": 1.0}),
        ("error", {"code": "server_busy", "message": "busy"}),
        ("done", {"duration": 4.0}),
    ]
)


@given(st.lists(MESSAGES | EVENTS | st.text(max_size=20) | st.binary(max_size=20), max_size=12), st.booleans())
def test_any_conversation_stays_in_the_dialect(steps: list[Any], diarize: bool) -> None:
    dialect = begun(utterance_end_ms="1000", vad_events="true", diarize=str(diarize).lower())
    for step in steps:
        if isinstance(step, tuple):
            sent(told(dialect, step[0], **step[1]))
            continue
        with contextlib.suppress(VoxtralError):
            sent(dialect.receive(step))
