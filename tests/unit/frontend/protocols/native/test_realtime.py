"""The native protocol as a dialect: what its messages ask for, and what is taken back when that fails."""

import json
from typing import Any

import orjson
import pytest

from frontend.protocols.dialect import (
    EARLIER_AUDIO,
    Action,
    Append,
    AwaitEnd,
    Cancel,
    Change,
    Commit,
    Finish,
    Identify,
    OneShot,
    Open,
    Resume,
    Send,
    Status,
)
from frontend.protocols.native.realtime import NativeRealtime
from shared.audio.live import UnsupportedStreamError
from shared.audio.pcm import AudioFormat
from shared.bus.event_log import LoggedEvent
from shared.config.sections import AudioSettings
from shared.errors import (
    IdleTimeoutError,
    InvalidAudioError,
    InvalidJsonError,
    ServerBusyError,
    StoreUnreachableError,
    UnauthorizedError,
    UnknownTypeError,
    VoxtralError,
)

READY = {"type": "ready", "session_id": "s1", "seq": 1, "resume_token": "t"}


class Client:
    """A client's side of one connection."""

    def __init__(self, **options: Any) -> None:
        self.dialect = NativeRealtime(AudioSettings(), **options)
        self._message: str | bytes = b""

    def say(self, message: str | bytes | dict[str, Any]) -> list[Action]:
        self._message = json.dumps(message) if isinstance(message, dict) else message
        return list(self.dialect.receive(self._message))

    def hear(self, **event: Any) -> list[Action]:
        return list(self.dialect.render(LoggedEvent(orjson.dumps(event), event)))

    def fails(self, error: VoxtralError) -> list[dict[str, Any]]:
        """What it is sent when an action of its last message, or that itself, fails."""
        return told(self.dialect.refuse(error, self._message))

    def start(self, **fields: Any) -> None:
        self.say({"type": "start", **fields})
        self.hear(**READY)


def told(actions: Any) -> list[dict[str, Any]]:
    return [json.loads(action.message) for action in actions]


def kinds(actions: list[Action]) -> list[type]:
    return [type(action) for action in actions]


def test_start_opens_a_session_with_its_format() -> None:
    [opening] = Client().say({"type": "start", "encoding": "pcm_f32le", "sample_rate": 8000, "acknowledge": True})
    assert isinstance(opening, Open)
    assert (opening.audio_format, opening.acknowledge, opening.is_native) == (
        AudioFormat("pcm_f32le", 8000, 1),
        True,
        True,
    )
    [opening] = Client().say({"type": "start", "encoding": "container"})
    assert isinstance(opening, Open)
    assert opening.audio_format is None


def test_resume_names_what_the_client_has() -> None:
    [resume] = Client().say({"type": "resume", "session_id": "s1", "resume_token": "t" * 43, "seq": 4})
    assert isinstance(resume, Resume)
    assert (resume.session_id, resume.resume_token, resume.seq, resume.acknowledge) == ("s1", "t" * 43, 4, False)


def test_events_are_passed_on_as_they_are() -> None:
    client = Client()
    client.start()
    raw = b'{"type":"partial", "text":"a"}'
    assert list(client.dialect.render(LoggedEvent(raw, orjson.loads(raw)))) == [Send(raw)]


@pytest.mark.parametrize(
    ("message", "action"),
    [
        (b"\1\0", Append(b"\1\0")),
        ({"type": "chunk", "audio_data": "AQA="}, Append(b"\1\0")),
        ({"type": "commit", "number": 2}, Commit(2)),
        ({"type": "stop", "number": 3}, Finish(3)),
        ({"type": "cancel"}, Cancel()),
        ({"type": "configure", "language": "de"}, Change({"language": "de"})),
        ({"type": "status", "id": 4}, Status(4)),
    ],
)
def test_what_messages_of_a_live_session_ask_for(message: Any, action: Action) -> None:
    client = Client()
    client.start()
    assert client.say(message) == [action]


def test_configure_passes_on_what_changes_of_the_audio() -> None:
    client = Client()
    client.start()
    [change] = client.say({"type": "configure", "sample_rate": 8000, "number": 1})
    assert change == Change({}, 1, {"sample_rate": 8000})


def test_recordings_starts_and_resumes_wait_while_a_session_finishes() -> None:
    client = Client()
    client.start()
    client.say({"type": "stop"})
    assert kinds(client.say({"type": "audio", "audio_data": "AQA="})) == [AwaitEnd, OneShot]
    assert kinds(client.say({"type": "start"})) == [AwaitEnd, Open]
    assert client.say({"type": "commit"}) == []
    client.hear(type="done", seq=2)
    client.hear(**READY)
    assert client.say(b"\1\0") == [Append(b"\1\0")]


def test_audio_after_a_start_that_failed_is_ignored() -> None:
    client = Client()
    client.say({"type": "start", "id": 1})
    [error] = client.fails(ServerBusyError("Every slot is taken.", retry_after_s=2))
    assert (error["code"], error["id"], error["retry_after_s"]) == ("server_busy", 1, 2)
    assert (client.say(b"\1\0"), client.say({"type": "stop"})) == ([], [])
    assert kinds(client.say({"type": "start"})) == [Open]


def test_audio_without_a_session_is_an_error_once() -> None:
    client = Client()
    with pytest.raises(UnknownTypeError, match="no session is live"):
        client.say(b"\1\0")
    assert client.say(b"\1\0") == []


def test_a_ready_in_the_log_of_a_resumed_session_is_an_event_like_others() -> None:
    client = Client()
    client.say({"type": "resume", "session_id": "s1", "resume_token": "t" * 43, "seq": 0})
    client.hear(**READY)
    assert kinds(client.hear(type="ready", session_id="s1", seq=1)) == [Send]
    assert client.say(b"\1\0") == [Append(b"\1\0")]


def test_an_error_names_the_session_while_there_is_one() -> None:
    client = Client()
    client.start()
    assert client.fails(InvalidAudioError("a"))[0]["session_id"] == "s1"
    assert told(client.dialect.refuse(InvalidAudioError("a"), EARLIER_AUDIO))[0]["session_id"] == "s1"
    [last] = told(client.dialect.refuse(IdleTimeoutError(60), None))
    assert set(last) == {"type", "code", "message"}
    client.hear(type="error", code="session_expired", message="", seq=2)
    assert "session_id" not in client.fails(InvalidAudioError("a"))[0]


def test_audio_that_cannot_be_decoded_is_an_error_once_for_each_format() -> None:
    client = Client()
    client.start()
    error = UnsupportedStreamError("The audio is MP3.")
    client.say(b"ID3")
    assert len(client.fails(error)) == 1
    client.say({"type": "chunk", "audio_data": "AQA="})
    assert client.fails(error) == []
    client.say({"type": "stop"})
    assert len(client.fails(error)) == 1
    client = Client()
    client.start()
    client.say(b"ID3")
    client.fails(error)
    client.say({"type": "configure", "encoding": "container"})
    client.say(b"ID3")
    assert len(client.fails(error)) == 1


def test_a_key_comes_first_if_one_is_needed() -> None:
    client = Client(needs_key=True)
    assert kinds(client.say({"type": "ping"})) == [Send]
    for message in ({"type": "start"}, {"type": "nonsense"}, {}):
        with pytest.raises(UnauthorizedError, match="key is required first"):
            client.say(message)
    identify, authorized = client.say({"type": "auth", "key": "k", "id": 5})
    assert identify == Identify("k")
    assert told([authorized]) == [{"type": "authorized", "id": 5}]
    client.fails(StoreUnreachableError("Redis is gone."))
    with pytest.raises(UnauthorizedError):
        client.say({"type": "start"})
    client.say({"type": "auth", "key": "k"})
    assert kinds(client.say({"type": "start"})) == [Open]


def test_on_tcp_text_that_is_no_json_is_audio_while_a_session_is_live() -> None:
    client = Client(guesses_text=True)
    with pytest.raises(InvalidJsonError):
        client.say("{x")
    client.start()
    assert client.say("{x") == [Append(b"{x")]
    with pytest.raises(InvalidJsonError):
        client.say('{"x')
    with pytest.raises(InvalidJsonError):
        Client().say("{x")
