"""The Wyoming dialect without a network: its answers are parsed by the protocol's own package."""

import contextlib
import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wyoming.asr import Transcribe
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.event import Event, Eventable, read_event
from wyoming.info import Describe, Info, SelectProgram
from wyoming.ping import Ping

from frontend.protocols.dialect import Action, Append, AwaitEnd, Finish, Hangup, ListModels, Open, Send
from frontend.protocols.wyoming.asr import WyomingAsr
from shared.audio.pcm import AudioFormat
from shared.bus.event_log import LoggedEvent
from shared.errors import ServerBusyError, VoxtralError
from shared.session_options import KeyTerm
from tests.socket_messages import message_validator
from tests.unit.frontend.protocols.wyoming.test_framing import written

CHUNK = AudioChunk(16_000, 2, 1, bytes(640))
START = AudioStart(16_000, 2, 1)


@dataclass(frozen=True)
class Model:
    name: str
    modes: tuple[str, ...]
    languages: tuple[str, ...] = ()


def documented(event: Event) -> Event:
    """The event, if it is as the AsyncAPI document says."""
    name = "".join(word.title() for word in event.type.split("-"))
    message_validator(f"wyoming{name}").validate({"type": event.type, "data": event.data})
    return event


class Wire:
    """A client of the dialect. `sent` has the events that it received."""

    def __init__(self) -> None:
        self.dialect = WyomingAsr()
        self.sent: list[Event] = []

    def tell(self, *events: Eventable) -> list[Action]:
        return [action for event in events for action in self.tell_bytes(written(event.event()))]

    def tell_bytes(self, message: bytes) -> list[Action]:
        try:
            return self._taken(self.dialect.receive(message))
        except VoxtralError as error:
            return self._taken(self.dialect.refuse(error, message))

    def say(self, kind: str, **fields: Any) -> list[Action]:
        """The session sends an event."""
        wire = {"type": kind, **fields}
        return self._taken(self.dialect.render(LoggedEvent(orjson.dumps(wire), wire)))

    def received(self) -> list[tuple[str, dict[str, Any]]]:
        received, self.sent = self.sent, []
        return [(event.type, event.data) for event in received]

    def _taken(self, actions: Iterable[Action]) -> list[Action]:
        others = []
        for action in actions:
            if isinstance(action, Send):
                assert isinstance(action.message, bytes)
                event = read_event(io.BytesIO(action.message))
                assert event is not None
                self.sent.append(documented(event))
            else:
                others.append(action)
        return others


def test_a_recording_is_transcribed_as_it_arrives() -> None:
    wire = Wire()
    [opening] = wire.tell(Transcribe(name="whisper-1", language="en-US"), START)
    assert isinstance(opening, Open)
    assert (opening.options.model, opening.options.language) == ("whisper-1", "en")
    assert opening.audio_format == AudioFormat("pcm_s16le", 16_000, 1)
    wire.say("ready", model="echo")
    assert wire.tell(CHUNK) == [Append(CHUNK.audio)]
    wire.say("partial", segment=0, text="Hello there", committed={"text": "Hello"})
    assert wire.received() == [("transcript-start", {"language": "en"}), ("transcript-chunk", {"text": "Hello"})]
    assert wire.tell(AudioStop()) == [Finish()]
    wire.say("final", segment=0, text="Hello there.", start=0, end=1, language="en")
    wire.say("done", text="Hello there.", duration=1.0)
    assert wire.received() == [
        ("transcript-chunk", {"text": " there."}),
        ("transcript", {"text": "Hello there.", "language": "en"}),
        ("transcript-stop", {}),
    ]


def test_recordings_follow_one_another() -> None:
    wire = Wire()
    for language in ("de", "fr"):
        [opening] = wire.tell(Transcribe(language=language), START)
        assert isinstance(opening, Open)
        assert opening.options.language == language
        wire.say("ready", model="echo")
        assert wire.tell(CHUNK, AudioStop()) == [Append(CHUNK.audio), Finish()]
        wire.say("final", segment=0, text=language, start=0, end=1, language=language)
        wire.say("done", text=language, duration=1.0)
        assert ("transcript", {"text": language, "language": language}) in wire.received()


def test_the_next_recording_waits_for_the_last_transcript() -> None:
    wire = Wire()
    wire.tell(START)
    wire.say("ready", model="echo")
    wire.tell(AudioStop())
    wait, opening = wire.tell(START)
    assert wait == AwaitEnd()
    assert isinstance(opening, Open)
    wire.say("done", text="", duration=0.0)
    wire.say("ready", model="echo")
    assert wire.tell(CHUNK) == [Append(CHUNK.audio)]


def test_audio_may_come_without_its_start_and_a_stop_without_audio() -> None:
    wire = Wire()
    opening, append = wire.tell(AudioChunk(44_100, 4, 2, bytes(80)))
    assert isinstance(opening, Open)
    assert opening.audio_format == AudioFormat("pcm_s32le", 44_100, 2)
    assert append == Append(bytes(80))
    wire = Wire()
    assert wire.tell(AudioStop()) == []
    assert wire.received() == [("transcript-start", {}), ("transcript", {"text": ""}), ("transcript-stop", {})]


def test_names_and_terms_become_key_terms() -> None:
    wire = Wire()
    names, terms = [f"lamp {number}" for number in range(150)], [f"room {number}" for number in range(900)]
    [opening] = wire.tell(Transcribe(transcript_names=names, transcript_terms=terms), START)
    assert isinstance(opening, Open)
    assert opening.options.keyterms is not None
    assert len(opening.options.keyterms) == 200
    assert opening.options.keyterms[:150] == tuple(map(KeyTerm, names))


def test_the_messages_are_documented() -> None:
    for sent in (Describe(), SelectProgram("voxtral"), Transcribe(language="en"), START, CHUNK, AudioStop(), Ping("a")):
        documented(sent.event())


def test_models_that_transcribe_are_described() -> None:
    wire = Wire()
    [action] = wire.tell(SelectProgram("voxtral"), Describe())
    assert isinstance(action, ListModels)
    models = [Model("echo", ("transcribe",)), Model("org/one", ("transcribe", "translate"), ("de", "en"))]
    event = read_event(io.BytesIO(action.message([*models, Model("chat", ("understand",))])))
    assert event is not None
    [program] = Info.from_event(documented(event)).asr
    assert (program.name, program.installed, program.supports_transcript_streaming) == ("voxtral", True, True)
    assert [model.name for model in program.models] == ["echo", "org/one"]
    assert program.models[1].languages == ["de", "en"]
    assert "en" in program.models[0].languages  # clients offer only what is listed


def test_pings_are_answered_and_unknown_events_ignored() -> None:
    wire = Wire()
    assert wire.tell(Ping("hello")) == wire.tell_bytes(b'{"type": "run-satellite"}\n') == []
    assert wire.received() == [("pong", {"text": "hello"})]


@pytest.mark.parametrize(
    ("events", "code", "part"),
    [
        ([Transcribe(language="klingon?!")], "invalid_field", "language is "),
        ([Transcribe(name="x" * 1000)], "invalid_field", "name is "),
        ([Transcribe(transcript_terms=[""])], "invalid_field", "transcript_terms is "),
        ([Transcribe(transcript_names="lamp")], "invalid_field", "transcript_names is "),  # type: ignore[arg-type]
        ([AudioStart(100, 2, 1)], "invalid_field", "rate is 100"),
        ([AudioStart(16_000, 5, 1)], "invalid_field", "width is 5; allowed: 1, 2, 3, 4."),
        ([AudioStart(16_000, 2, 9)], "invalid_field", "channels is 9"),
        ([START, START], "invalid_field", "allowed: audio-chunk, audio-stop"),
        ([START, AudioChunk(8000, 2, 1, bytes(8))], "invalid_field", "is '8000, 2, 1'; allowed: those of audio-start"),
        ([SelectProgram("other")], "invalid_field", "name is 'other'; allowed: voxtral."),
    ],
)
def test_errors_are_sent_before_the_connection_is_closed(events: list[Eventable], code: str, part: str) -> None:
    wire = Wire()
    taken = wire.tell(*events)
    assert taken[-1] == Hangup(1000, code)
    kind, data = wire.received()[-1]
    assert (kind, data["code"]) == ("error", code)
    assert part in data["text"]


def test_a_chunk_without_a_format_is_rejected() -> None:
    wire = Wire()
    assert wire.tell_bytes(b'{"type": "audio-chunk", "payload_length": 2}\n\0\0') == [Hangup(1000, "missing_field")]


def test_errors_of_the_session_are_sent_too() -> None:
    wire = Wire()
    wire.tell(START)
    assert wire.say("error", code="server_busy", message="All slots are in use.") == [Hangup(1000, "server_busy")]
    assert wire.received() == [("error", {"text": "All slots are in use.", "code": "server_busy"})]
    assert wire._taken(wire.dialect.refuse(ServerBusyError("Full."), None)) == [Hangup(1000, "server_busy")]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
KINDS = ("describe", "ping", "select-program", "transcribe", "audio-start", "audio-chunk", "audio-stop", "other")
FIELDS = ("name", "language", "text", "rate", "width", "channels", "transcript_names", "transcript_terms")


@given(
    st.lists(st.tuples(st.sampled_from(KINDS), st.dictionaries(st.sampled_from(FIELDS), JSON), st.binary(max_size=9)))
)
def test_any_events_are_answered_or_rejected(events: list[tuple[str, dict[str, Any], bytes]]) -> None:
    wire = Wire()
    for kind, data, payload in events:
        with contextlib.suppress(VoxtralError):
            wire.tell_bytes(written(Event(kind, data, payload)))
    assert all(len(event.data.get("text") or "") < 500 for event in wire.sent if event.type == "error")
