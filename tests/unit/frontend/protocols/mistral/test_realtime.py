"""Mistral's realtime messages, one by one, against the models of its own SDK."""

import base64
import contextlib
import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mistralai.extra.realtime.connection import UnknownRealtimeEvent, parse_realtime_event

from frontend.protocols.dialect import Action, Append, Check, Commit, Finish, Hangup, Open, Send
from frontend.protocols.mistral.realtime import MAX_APPEND_BYTES, MistralRealtime
from shared.audio.pcm import AudioFormat
from shared.bus.event_log import LoggedEvent
from shared.errors import IdleTimeoutError, InvalidFieldError, ServerBusyError, VoxtralError
from shared.session_options import KeyTerm, SessionOptions
from shared.turn_detection import TurnDetection

AUDIO = json.dumps({"type": "input_audio.append", "audio": base64.b64encode(b"\1\0" * 160).decode()})
FLUSH = '{"type": "input_audio.flush"}'
END = '{"type": "input_audio.end"}'
ENDED = {"type": "turn.end", "end_reason": "threshold"}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def update(**fields: Any) -> str:
    return json.dumps({"type": "session.update", "session": fields})


def sent(actions: Iterable[Action]) -> list[dict[str, Any]]:
    """The messages among the actions, each of which the SDK must know."""
    messages = [action.message for action in actions if isinstance(action, Send)]
    for message in messages:
        parsed = parse_realtime_event(json.loads(json.dumps(message)))
        assert not isinstance(parsed, UnknownRealtimeEvent), parsed
    return messages


def told(dialect: MistralRealtime, kind: str, **fields: Any) -> list[Action]:
    return list(dialect.render(LoggedEvent(b"", {"type": kind, **fields})))


def begun(**fields: Any) -> MistralRealtime:
    """A session that has been spoken to."""
    dialect = MistralRealtime("r1", "auto")
    if fields:
        list(dialect.receive(update(**fields)))
    list(dialect.receive(AUDIO))
    assert told(dialect, "ready", model="whisper-base") == []
    return dialect


def test_the_session_is_told_unasked() -> None:
    check, created = MistralRealtime("r1", "voxtral-mini-latest").greet()
    assert check == Check(SessionOptions(words=False, turns=True, model="voxtral-mini-latest"))
    [message] = sent([created])
    assert message["type"] == "session.created"
    assert message["session"]["audio_format"] == {"encoding": "pcm_s16le", "sample_rate": 16_000}
    assert (message["session"]["request_id"], message["session"]["model"]) == ("r1", "voxtral-mini-latest")


@pytest.mark.parametrize(("asked_ms", "applied_ms"), [(80, 80), (81, 160), (480, 480), (1201, 2400), (2400, 2400)])
def test_the_delay_is_the_next_one_that_models_know(asked_ms: int, applied_ms: int) -> None:
    dialect = MistralRealtime("r1", "auto")
    check, updated = dialect.receive(update(target_streaming_delay_ms=asked_ms))
    assert isinstance(check, Check)
    assert check.options.delay_ms == applied_ms
    assert sent([updated])[0]["session"]["target_streaming_delay_ms"] == applied_ms


@pytest.mark.parametrize("unset", [None, ""])
def test_updates_are_merged_and_null_takes_back(unset: str | None) -> None:
    dialect = MistralRealtime("r1", "auto")
    list(dialect.receive(update(audio_format={"encoding": "pcm_mulaw", "sample_rate": 8000}, language="de")))
    list(dialect.receive(update(context_bias=["Voxtral", "Celery"], language=unset)))
    opening, append = dialect.receive(AUDIO)
    assert opening == Open(
        SessionOptions(keyterms=(KeyTerm("Voxtral"), KeyTerm("Celery")), words=False, turns=True, model="auto"),
        AudioFormat("pcmu", 8000),
    )
    assert append == Append(b"\1\0" * 160)
    assert list(dialect.receive(AUDIO)) == [append]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "clients leave out an audio_format that they do not know"),
        ({"audio_format": {"encoding": "opus", "sample_rate": 16_000}}, "pcm_s16le, pcm_s32le, pcm_f16le"),
        ({"audio_format": {"encoding": "pcm_s16le", "sample_rate": 1}}, "6000 to 384000"),
        ({"audio_format": {"encoding": "pcm_s16le", "sample_rate": "16000"}}, "6000 to 384000"),
        ({"audio_format": {"channels": 2}}, "audio is mono"),
        ({"target_streaming_delay_ms": 79}, "from 80 to 2400"),
        ({"target_streaming_delay_ms": True}, "from 80 to 2400"),
        ({"language": "klingon"}, "an English name such as 'english'"),
        ({"language": 0}, "'auto' to detect it"),
        ({"context_bias": "Voxtral"}, "a list of at most 200 strings"),
        ({"diarize": "yes"}, "true, false"),
        (
            {"speaker_references": {"Ann": "AAA"}},
            "speaker_references is 'the voice of Ann'; allowed: a recording of .* as base64",
        ),
        ({"speaker_references": {"": "AAAA"}}, "speaker_references is .* an object of .* names .* with base64"),
        ({"speaker_references": ["Ann"]}, "names, each with a recording"),
        ({"turn_detection": True}, "an object with any of start_threshold"),
        ({"turn_detection": {"patience": 1}}, "an object with any of start_threshold"),
        ({"turn_detection": {"end_threshold": 2}}, "0 to 1"),
        ({"turn_detection": {"min_silence_ms": 900, "end_timeout_ms": 800}}, "at most turn_detection.end_timeout_ms"),
        ({"turn_detection": {"eager_end_threshold": 0.2, "end_threshold": 0.4}}, "at least turn_detection.end_thr"),
        ({"temperature": 0}, "audio_format, target_streaming_delay_ms, language"),
    ],
)
def test_an_update_that_cannot_be_is_refused_and_changes_nothing(fields: dict[str, Any], said: str) -> None:
    dialect = MistralRealtime("r1", "auto")
    message = update(**({"language": "en"} | fields if fields else {}))
    with pytest.raises(VoxtralError, match=said) as refused:
        list(dialect.receive(message))
    [error] = sent(dialect.refuse(refused.value, message))
    assert error["error"]["code"] == 400
    assert next(iter(dialect.receive(AUDIO))) == Open(
        SessionOptions(words=False, turns=True, model="auto"), AudioFormat()
    )


def test_an_update_that_no_model_can_serve_is_taken_back() -> None:
    dialect = MistralRealtime("r1", "auto")
    list(dialect.receive(message := update(language="xx")))
    sent(dialect.refuse(InvalidFieldError("language", "xx", "en"), message))
    opening = next(iter(dialect.receive(AUDIO)))
    assert isinstance(opening, Open)
    assert opening.options.language is None


def test_the_session_cannot_be_changed_while_audio_flows() -> None:
    with pytest.raises(VoxtralError, match="cannot be changed after audio has started"):
        list(begun().receive(update(language="en")))


def test_text_is_told_as_deltas_segments_and_one_done() -> None:
    dialect = begun()
    events = [
        *told(dialect, "speech_started", start=0.1),
        *told(dialect, "partial", segment=0, text="Good"),
        *told(dialect, "partial", segment=0, text="Good morning", committed={"text": "Good"}),
        *told(dialect, "final", segment=0, text="Good morning.", start=0.1, end=0.9, language="en"),
        *told(dialect, "final", segment=1, text="", start=1.0, end=1.2),
        *told(dialect, "final", segment=2, text="Bye.", start=1.2, end=1.9, language="en"),
    ]
    assert list(dialect.receive(END)) == [Finish()]
    messages = sent([*events, *told(dialect, "done", text="Good morning. Bye.", duration=1.96)])
    assert [message["type"].removeprefix("transcription.") for message in messages] == [
        "text.delta", "language", "text.delta", "segment", "text.delta", "segment", "done"
    ]  # fmt: skip
    done = messages[-1]
    assert done["text"] == "Good morning. Bye."
    assert done["text"] == "".join(m["text"] for m in messages if m["type"] == "transcription.text.delta")
    assert (done["model"], done["language"], done["usage"]["prompt_audio_seconds"]) == ("whisper-base", "en", 2)
    told_segments = [(segment["text"], segment["language"]) for segment in done["segments"]]
    assert told_segments == [("Good morning.", "en"), ("Bye.", "en")]


def test_a_flush_with_new_text_is_answered_by_all_text_so_far() -> None:
    dialect = begun()
    for number, word in enumerate(["One.", "Two."]):
        assert list(dialect.receive(FLUSH)) == [Commit()]
        told(dialect, "final", segment=number, text=word, start=0.0, end=1.0)
        [done] = sent(told(dialect, "committed", end=1.0))
        assert done["text"] == ("One.", "One. Two.")[number]
    assert told(dialect, "committed", end=2.0) == []


def test_a_flush_before_the_end_brings_no_second_done() -> None:
    dialect = begun()
    list(dialect.receive(FLUSH))
    list(dialect.receive(END))
    told(dialect, "final", segment=0, text="One.", start=0.0, end=1.0)
    assert told(dialect, "committed", end=1.0) == []
    assert sent(told(dialect, "done", text="One.", duration=1.0))[0]["text"] == "One."


def test_an_end_without_audio_is_answered_without_a_session() -> None:
    dialect = MistralRealtime("r1", "auto")
    assert list(dialect.receive(FLUSH)) == []
    [done] = sent(dialect.receive(END))
    assert (done["type"], done["text"], done["language"]) == ("transcription.done", "", None)
    with pytest.raises(VoxtralError, match="after the end of the audio"):
        list(dialect.receive(AUDIO))


def test_turns_are_told_to_who_asks() -> None:
    assert told(begun(), "speech_started", start=0.5) == []
    dialect = begun(turn_detection={"min_silence_ms": 300})
    events = [
        ("speech_started", {"start": 0.5}, {"type": "turn.start", "time_s": 0.5}),
        ("turn_ended_early", {"end": 1.5}, {"type": "turn.eager_end", "time_s": 1.5}),
        ("turn_resumed", {"start": 2.0}, {"type": "turn.resume", "time_s": 2.0}),
        ("speech_stopped", {"end": 2.5}, None),
        ("turn_ended", {"end": 2.5, "reason": "finished"}, ENDED | {"time_s": 2.5}),
        ("turn_ended", {"end": 4.5, "reason": "silence"}, ENDED | {"time_s": 4.5, "end_reason": "timeout"}),
    ]
    for kind, wire, expected in events:
        assert sent(told(dialect, kind, **wire)) == ([] if expected is None else [expected])


def test_turn_detection_is_that_of_the_session() -> None:
    given = {"start_threshold": 0.4, "end_threshold": 0.3, "eager_end_threshold": 0.45, "end_timeout_ms": 2500}
    dialect = MistralRealtime("r1", "auto")
    [_, answer] = list(dialect.receive(update(turn_detection=given)))
    assert sent([answer])[0]["session"]["turn_detection"] == given | {"min_silence_ms": None}
    opening, _ = dialect.receive(AUDIO)
    assert isinstance(opening, Open)
    assert opening.options.turn_detection == TurnDetection(
        "semantic", threshold=0.4, early=True, end_threshold=0.7, early_threshold=0.55, max_silence_ms=2500
    )


def test_what_ends_the_session_ends_the_connection() -> None:
    dialect = MistralRealtime("r1", "auto")
    list(dialect.receive(AUDIO))
    error, hangup = dialect.refuse(ServerBusyError("Every slot is taken."), AUDIO)
    assert sent([error])[0]["error"] == {"message": "Every slot is taken.", "code": 503}
    assert hangup == Hangup(1000, "server_busy")
    error, hangup = told(begun(), "error", code="model_unavailable", message="Gone.")
    assert sent([error])[0]["error"]["code"] == 503
    error, hangup = begun().refuse(IdleTimeoutError(60), None)
    assert sent([error])[0]["error"]["code"] == 408


def test_who_lingers_after_done_is_not_told_of_it() -> None:
    dialect = MistralRealtime("r1", "auto")
    list(dialect.receive(END))
    assert list(dialect.refuse(IdleTimeoutError(60), None)) == [Hangup(1000, "")]


def test_an_unknown_model_is_a_bad_request() -> None:
    dialect = MistralRealtime("r1", "voxtral-mini-latest")
    error, _ = dialect.refuse(InvalidFieldError("model", "voxtral-mini-latest", "whisper-base"), None)
    assert sent([error])[0]["error"] == {
        "message": "model is 'voxtral-mini-latest'; allowed: whisper-base.",
        "code": 400,
    }


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (b"\0\0", "JSON text, with audio in base64"),
        ("[]", "must be a JSON object"),
        ("{", "not JSON"),
        ("{}", "type is missing; allowed: session.update, input_audio.append"),
        ('{"type": ["input_audio.end"]}', "allowed: session.update"),
        ('{"type": "input_audio.append"}', "audio is missing"),
        ('{"type": "input_audio.append", "audio": 7}', "a string of base64"),
        ('{"type": "input_audio.append", "audio": "?"}', "audio is not base64"),
        ('{"type": "session.update"}', "session is None"),
    ],
)
def test_what_is_wrong_with_a_message_is_said(message: str | bytes, said: str) -> None:
    with pytest.raises(VoxtralError, match=said):
        list(MistralRealtime("r1", "auto").receive(message))


def test_the_audio_of_one_message_is_bounded() -> None:
    audio = base64.b64encode(bytes(MAX_APPEND_BYTES + 1)).decode()
    with pytest.raises(VoxtralError, match=f"at most {MAX_APPEND_BYTES}"):
        list(MistralRealtime("r1", "auto").receive(json.dumps({"type": "input_audio.append", "audio": audio})))


@given(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["session.update", "input_audio.append", "input_audio.flush", "input_audio.end"])},
        optional={
            "session": st.dictionaries(
                st.sampled_from(["audio_format", "language", "context_bias", "diarize", "turn_detection"]), JSON
            )
            | JSON,
            "audio": JSON,
        },
    )
    | JSON
)
def test_any_message_is_understood_or_refused(message: Any) -> None:
    for dialect in (MistralRealtime("r1", "auto"), begun()):
        with contextlib.suppress(VoxtralError):
            sent(dialect.receive(json.dumps(message)))
