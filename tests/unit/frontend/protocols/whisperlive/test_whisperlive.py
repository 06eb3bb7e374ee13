"""WhisperLive's protocol without a network: the options of its client, and what the client gets."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontend.protocols.dialect import Append, Finish, Hangup, Open, Send, UseProtocolKey
from frontend.protocols.native.realtime import NativeRealtime
from frontend.protocols.whisperlive.detection import NativeOrWhisperLive
from frontend.protocols.whisperlive.realtime import FORMAT, WhisperLive
from shared.config.sections import AudioSettings, ForeignProtocol
from shared.errors import RateLimitedError, ServerBusyError, VoxtralError
from shared.session_options import KeyTerm, Mode, SessionOptions
from tests.socket_messages import message_validator
from tests.unit.frontend.protocols.openai.openai_wire import Wire

OPTIONS = {
    "uid": "u1",
    "language": "en",
    "task": "transcribe",
    "model": "small",
    "use_vad": True,
    "send_last_n_segments": 10,
    "no_speech_thresh": 0.45,
    "clip_audio": False,
    "same_output_threshold": 10,
    "enable_translation": False,
    "target_language": "fr",
    "hotwords": None,
    "enable_diarization": False,
    "max_speakers": 10,
    "known_speakers": [],
    "word_timestamps": False,
    "initial_prompt": None,
    "vad_parameters": None,
}
"""What version 0.10.0 of the client sends if its user chooses only the language."""
DOCUMENTED = {
    "SERVER_READY": "whisperliveReady",
    "segments": "whisperliveSegments",
    "language": "whisperliveLanguage",
    "status": "whisperliveStatus",
}
READY = {"uid": "u1", "message": "SERVER_READY", "backend": "faster_whisper"}


class WhisperLiveWire(Wire):
    @staticmethod
    def judge(message: dict[str, Any]) -> dict[str, Any]:
        kind = next((name for name in ("segments", "language", "status") if name in message), message.get("message"))
        message_validator(DOCUMENTED[kind or ""]).validate(message)
        return message

    def begin(self, **changes: Any) -> list[dict[str, Any]]:
        return self.tell(**{**OPTIONS, **changes})

    @property
    def session(self) -> SessionOptions:
        [opened] = self.taken(Open)
        assert isinstance(opened, Open)
        assert opened.audio_format == FORMAT
        return opened.options


def connected(**changes: Any) -> WhisperLiveWire:
    wire = WhisperLiveWire(WhisperLive())
    assert wire.begin(**changes)[0] == READY
    return wire


def segment(text: str, start: float, end: float, *, completed: bool) -> dict[str, Any]:
    return {"start": f"{start:.3f}", "end": f"{end:.3f}", "text": f" {text}", "completed": completed}


def test_segments_are_open_until_they_are_completed() -> None:
    wire = connected()
    assert wire.actions[0] == UseProtocolKey(ForeignProtocol.WHISPERLIVE)
    assert (wire.session.language, wire.session.model, wire.session.words) == ("en", None, False)
    assert wire.tell_text(bytes(64)) == []
    assert wire.taken(Append) == [Append(bytes(64))]
    assert wire.say(type="partial", seq=2, segment=0, text="Hello", start=0.5, end=1) == [
        {"uid": "u1", "segments": [segment("Hello", 0.5, 1, completed=False)]}
    ]
    wire.say(type="final", seq=3, segment=0, text="Hello there.", start=0.5, end=1.5)
    assert wire.say(type="partial", seq=4, segment=1, text="And", start=2, end=2.5) == [
        {
            "uid": "u1",
            "segments": [segment("Hello there.", 0.5, 1.5, completed=True), segment("And", 2, 2.5, completed=False)],
        }
    ]
    assert wire.tell_text(b"END_OF_AUDIO") == []
    assert wire.taken(Finish) == [Finish()]
    assert wire.say(type="done", seq=5, text="", duration=3) == []
    assert wire.actions[-1] == Hangup(1000, "")


def test_a_segment_is_open_with_its_final_text_before_it_is_completed() -> None:
    """The client adds the last open segment to its file, unless it has the text of the last completed one."""
    wire = connected()
    wire.say(type="partial", seq=2, segment=0, text="Sit", start=0.5, end=1)
    assert wire.say(type="final", seq=3, segment=0, text="Sit down.", start=0.5, end=1.5) == [
        {"uid": "u1", "segments": [segment("Sit down.", 0.5, 1.5, completed=False)]},
        {"uid": "u1", "segments": [segment("Sit down.", 0.5, 1.5, completed=True)]},
    ]
    last = wire.say(type="final", seq=4, segment=1, text="Stop.", start=2, end=3)
    assert [one["segments"][-1]["completed"] for one in last] == [False, True]
    wire.say(type="partial", seq=5, segment=2, text="Go.", start=4, end=5)
    assert len(wire.say(type="final", seq=6, segment=2, text="Go.", start=4, end=5)) == 1


def test_the_messages_are_documented() -> None:
    message_validator("whisperliveOptions").validate(OPTIONS)


def test_only_the_last_segments_are_sent() -> None:
    wire = connected(send_last_n_segments=2)
    for number in range(5):
        [told] = wire.say(type="final", seq=number + 2, segment=number, text=str(number), start=number, end=number + 1)
    assert [one["text"] for one in told["segments"]] == [" 3", " 4"]
    [told] = wire.say(type="partial", seq=9, segment=5, text="5", start=5, end=6)
    assert [one["text"] for one in told["segments"]] == [" 4", " 5"]


def test_the_detected_language_is_sent_when_it_changes() -> None:
    wire = connected(language=None)
    final = {"type": "final", "seq": 2, "segment": 0, "text": "Hallo.", "start": 0, "end": 1, "language": "de"}
    assert wire.say(**final)[0] == {"uid": "u1", "language": "de", "language_prob": None}
    assert len(wire.say(**final)) == 1
    assert len(connected().say(**final)) == 1


def test_speakers_and_words_are_part_of_segments() -> None:
    known = [{"name": "Ann", "audio_base64": "AAAA"}]
    wire = connected(enable_diarization=True, word_timestamps=True, max_speakers=40, known_speakers=known)
    session = wire.session
    assert (session.diarize, session.max_speakers, session.words) == (True, 16, True)
    assert session.known_speakers is not None
    assert session.known_speakers[0].name == "Ann"
    word = {"text": "Hi", "start": 0, "end": 1, "confidence": 0.5}
    wire.say(type="final", seq=2, segment=0, text="Hi", start=0, end=1, words=[word])
    [told] = wire.say(type="speakers", seq=3, segments=[{"segment": 0, "speaker": "Ann"}])
    assert told["segments"][0]["speaker"] == "Ann"
    assert told["segments"][0]["words"] == [{"word": " Hi", "start": 0, "end": 1, "probability": 0.5}]


def test_options_become_those_of_the_session() -> None:
    changes = {"task": "translate", "initial_prompt": "A call.", "hotwords": "Ann Lee, Zyrtalin,", "language": "german"}
    session = connected(**changes).session
    assert (session.mode, session.prompt, session.language) == (Mode.TRANSLATE, "A call.", "de")
    assert session.keyterms == (KeyTerm("Ann Lee"), KeyTerm("Zyrtalin"))


@pytest.mark.parametrize(
    ("model", "named"),
    [
        ("small", None),
        ("large-v3", None),
        ("Turbo", None),
        ("tiny.en", None),
        ("whisper-base", "whisper-base"),
        (None, None),
    ],
)
def test_a_size_of_whisper_leaves_the_model_to_the_service(model: str | None, named: str | None) -> None:
    assert connected(model=model).session.model == named


def test_translation_into_another_language_is_answered_by_a_warning() -> None:
    wire = WhisperLiveWire(WhisperLive())
    assert [message.get("status") for message in wire.begin(enable_translation=True)] == [None, "WARNING"]


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"uid": None}, "uid"),
        ({"uid": 7}, "uid is 7"),
        ({"task": "sing"}, "task is 'sing'; allowed: transcribe, translate."),
        ({"language": "??"}, "language is '??'"),
        ({"send_last_n_segments": 0}, "send_last_n_segments is 0; allowed: an integer from 1 to 100."),
        ({"hotwords": ["a"]}, "hotwords is "),
        ({"enable_diarization": "yes"}, "enable_diarization is 'yes'"),
        ({"enable_diarization": True, "known_speakers": "Ann"}, "known_speakers is '…'"),
        (
            {"enable_diarization": True, "known_speakers": [{"name": "Ann", "audio_base64": "AAA"}]},
            "known_speakers is 'the voice of Ann'; allowed: a recording of 1 to 10 s as base64",
        ),
        (
            {"enable_diarization": True, "known_speakers": [{"name": "Ann"}]},
            "known_speakers is 'the voice of Ann'; allowed: a list of at most 16 objects, each with its own 'name' of "
            "1 to 100 characters and 'audio_base64' (base64 of a recording of 1 to 10 s).",
        ),
    ],
)
def test_wrong_options_end_the_connection(changes: dict[str, Any], part: str) -> None:
    wire = WhisperLiveWire(WhisperLive())
    [told] = wire.begin(**changes)
    assert told["status"] == "ERROR"
    assert part in told["message"]
    assert isinstance(wire.actions[-1], Hangup)


@pytest.mark.parametrize(
    ("error", "minutes"), [(ServerBusyError("", retry_after_s=30), 0.5), (RateLimitedError(""), 1)]
)
def test_a_client_without_a_slot_waits(error: VoxtralError, minutes: float) -> None:
    wire = WhisperLiveWire(WhisperLive())
    wire.fails[Open] = error
    assert wire.begin() == [{"uid": "u1", "status": "WAIT", "message": minutes}]
    assert wire.actions[-1] == Hangup(1000, error.code)


def test_the_end_of_a_session_is_sent() -> None:
    wire = connected()
    wire.tell_text(b"END_OF_AUDIO")
    assert (wire.say(type="done", seq=2, text="", duration=1), wire.actions[-1]) == ([], Hangup(1000, ""))
    assert connected().say(type="error", seq=2, code="internal_error", message="It failed.") == [
        {"uid": "u1", "status": "ERROR", "message": "It failed."}
    ]
    assert connected().tell_text("more")[0]["status"] == "ERROR"


@pytest.mark.parametrize(
    ("first", "is_native"), [({"type": "ping"}, True), ({"uid": "u", "type": "x"}, True), (OPTIONS, False)]
)
def test_the_first_message_decides(first: dict[str, Any], is_native: bool) -> None:
    dialect = NativeOrWhisperLive(NativeRealtime(AudioSettings()))
    try:
        actions = list(dialect.receive(json.dumps(first)))
    except VoxtralError as error:
        actions = list(dialect.refuse(error, json.dumps(first)))
    assert dialect.resumes is is_native
    assert any(isinstance(action, Send) for action in actions) is is_native
    for other in (b"\0\0", "[]", "nonsense"):
        native = NativeOrWhisperLive(NativeRealtime(AudioSettings()))
        with contextlib.suppress(VoxtralError):
            native.receive(other)
        assert native.resumes


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*OPTIONS]), JSON), st.lists(st.binary(max_size=20) | st.text(), max_size=3))
def test_any_messages_are_answered_or_rejected(changes: dict[str, Any], more: list[str | bytes]) -> None:
    dialect = NativeOrWhisperLive(NativeRealtime(AudioSettings()))
    for message in (json.dumps({**OPTIONS, **changes}), *more):
        try:
            list(dialect.receive(message))
        except VoxtralError as error:
            for action in dialect.refuse(error, message):
                assert not isinstance(action, Send) or len(str(action.message)) < 2000
