"""What every frontend does alike: the same messages to the WebSocket, the TCP and the web port of a running service."""

import json
import socket
import struct
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.native_clients import (
    FRONTENDS,
    Client,
    TcpClient,
    WebSocketClient,
    ask,
    base64_of,
    open_client,
    reset,
    tell,
    tone,
    until,
    wav,
)
from tests.stack import Stack, wait_until

SECOND = tone(1)


@pytest.fixture(params=FRONTENDS)
def frontend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def client(stack: Stack, frontend: str) -> Iterator[Client]:
    opened = open_client(stack, frontend)
    yield opened
    opened.close()


def start(client: Client, **options: Any) -> dict[str, Any]:
    ready = ask(client, type="start", **options)
    assert ready["type"] == "ready", ready
    return ready


# --- one shot -----------------------------------------------------------------------------------------------------


def test_one_shot_is_answered_by_exactly_one_reply(client: Client) -> None:
    reply = ask(client, type="audio", audio_data=base64_of(SECOND), mode="transcribe")
    assert reply["type"] == "response"
    assert reply["mode"] == "transcribe"
    assert reply["text"] == "1 seconds"
    assert reply["audio_duration_ms"] == 1000
    assert reply["processing_time_ms"] > 0
    assert reply["timestamp"] > 1.7e9
    assert ask(client, type="ping")["type"] == "pong"


def test_one_shot_takes_files_and_raw_samples(client: Client) -> None:
    floats = struct.pack("<16000f", *(sample[0] / 32768 for sample in struct.iter_unpack("<h", SECOND)))
    for fields in (
        {"audio_data": base64_of(wav(1))},
        {"audio_data": base64_of(floats)},
        {"audio_data": base64_of(floats), "encoding": "pcm_f32le"},
        {"audio_data": base64_of(bytes(8000)), "encoding": "pcmu", "sample_rate": 8000},
        {"audio_data": base64_of(SECOND * 2), "encoding": "pcm_s16le", "channels": 2},
        {"audio_data": base64_of(SECOND), "language": "en", "mode": "general", "prompt": "Sum it up."},
        {"audio_data": base64_of(SECOND), "model": "Echo", "max_new_tokens": 9, "temperature": 0.5, "top_p": 1},
    ):
        reply = ask(client, type="audio", **fields)
        assert reply["type"] == "response", reply
        assert reply["audio_duration_ms"] == 1000


def test_one_shot_streams_the_events_of_its_session_with_its_id(client: Client) -> None:
    tell(client, type="audio", audio_data=base64_of(SECOND * 5), stream=True, id="r-1")
    *events, reply = until(client, "response")
    assert {event["type"] for event in events} == {"partial", "final"}
    assert {message["id"] for message in (*events, reply)} == {"r-1"}
    finals = [event for event in events if event["type"] == "final"]
    assert all(final["words"] for final in finals)
    assert " ".join(final["text"] for final in finals) == reply["text"]
    assert reply["model"] == "echo"


def test_pipelined_requests_are_answered_in_order(client: Client) -> None:
    for number, seconds in enumerate((20, 1, 0, 7, 2)):
        tell(client, type="audio", audio_data=base64_of(SECOND * seconds), id=number)
        tell(client, type="ping", id=f"ping {number}")
    replies = [client.receive() for _ in range(10)]
    assert [reply and reply.get("id") for reply in replies] == [
        name for number in range(5) for name in (number, f"ping {number}")
    ]
    assert [reply and reply["type"] for reply in replies[::2]] == ["response", "response", "error", *["response"] * 2]


def test_status_tells_of_the_service(client: Client) -> None:
    status = ask(client, type="status", id=1)
    assert status["type"] == "status"
    assert status["model_info"]["model"] == "echo"
    assert [(model["model"], model["workers"]) for model in status["model_info"]["models"]] == [("echo", 1)]
    assert status["connected_clients"] >= 1
    assert status["id"] == 1


# --- live ---------------------------------------------------------------------------------------------------------


def test_live_session_from_start_to_done(client: Client) -> None:
    ready = start(client, language="en")
    assert ready["seq"] == 1
    assert ready["model"] == "echo"
    client.send_audio(SECOND)
    tell(client, type="commit")
    first = until(client, "final")
    tell(client, type="chunk", audio_data=base64_of(SECOND))
    tell(client, type="stop")
    rest = until(client, "done")
    events = [ready, *first, *rest]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert {event["session_id"] for event in events} == {ready["session_id"]}
    assert [event["end"] for event in events if event["type"] == "final"] == [1.0, 2.0]
    assert rest[-1]["duration"] == 2.0
    assert rest[-1]["text"] == "1 seconds 1 seconds"


def test_sessions_follow_one_another_on_a_connection(client: Client) -> None:
    seen = set()
    for _ in range(3):
        seen.add(start(client)["session_id"])
        client.send_audio(SECOND)
        tell(client, type="stop")
        assert until(client, "done")[-1]["duration"] == 1.0
    assert len(seen) == 3
    assert ask(client, type="audio", audio_data=base64_of(SECOND))["type"] == "response"


@pytest.mark.parametrize("size", [1, 2, 3, 333, 32_001])
def test_live_audio_may_be_cut_anywhere(client: Client, size: int) -> None:
    audio = SECOND if size > 3 else SECOND[:1600]
    start(client)
    for position in range(0, len(audio), size):
        client.send_audio(audio[position : position + size])
    tell(client, type="stop")
    assert until(client, "done")[-1]["duration"] == len(audio) / 32_000


def test_live_audio_in_other_formats(client: Client) -> None:
    start(client, encoding="pcmu", sample_rate=8000, channels=2)
    for _ in range(10):
        client.send_audio(b"\xff" * 1600)
    tell(client, type="stop")
    assert until(client, "done")[-1]["duration"] == 1.0


def test_audio_that_begins_like_text_is_heard(client: Client) -> None:
    """On TCP a frame of audio may begin with the byte of `{`."""
    start(client)
    for chunk in (b"{\x00" + SECOND[2:640], b"{a", b"{", b"{", b"{[" * 160):
        client.send_audio(chunk)
    tell(client, type="stop")
    assert until(client, "done")[-1]["duration"] == round((640 + 4 + 320) / 32_000, 3)


def test_half_a_sample_at_the_end_is_reported_and_the_rest_answered(client: Client) -> None:
    start(client)
    client.send_audio(SECOND + b"\x00")
    tell(client, type="stop")
    events = until(client, "done")
    assert [event["code"] for event in events if event["type"] in ("error", "warning")] == ["incomplete_sample"]
    assert events[-1]["duration"] == 1.0


def test_wrong_messages_leave_a_live_session_alone(client: Client) -> None:
    session_id = start(client, encoding="pcm_f32le")["session_id"]
    tell(client, type="configure", language="klingon")
    tell(client, type="configure", model="echo")
    tell(client, type="start")
    tell(client, type="nonsense")
    client.send_audio(struct.pack("<f", float("nan")))
    errors = [client.receive() or {} for _ in range(5)]
    wrong = [*["invalid_field"] * 2, *["unknown_type"] * 2, "invalid_audio"]
    assert [error["code"] for error in errors] == wrong
    assert {error["session_id"] for error in errors} == {session_id}
    client.send_audio(struct.pack("<16000f", *[0.5] * 16_000))
    tell(client, type="configure", language="de", temperature=0.5)
    tell(client, type="stop")
    assert until(client, "done")[-1]["duration"] == 1.0


def test_cancel_drops_the_session_at_once(client: Client) -> None:
    start(client)
    client.send_audio(SECOND)
    until(client, "partial")
    tell(client, type="cancel")
    tell(client, type="ping", id="after")
    last = until(client, "pong")
    assert "done" not in {event["type"] for event in last}
    start(client)


@pytest.mark.parametrize("other", FRONTENDS)
def test_a_broken_connection_is_resumed_on_any_frontend(stack: Stack, frontend: str, other: str) -> None:
    broken = open_client(stack, frontend)
    ready = start(broken)
    broken.send_audio(SECOND)
    seen = until(broken, "partial")[-1]["seq"]
    tell(broken, type="commit")
    reset(broken)
    again = open_client(stack, other)
    resumed = ask(again, type="resume", session_id=ready["session_id"], resume_token=ready["resume_token"], seq=seen)
    assert resumed["type"] == "ready", resumed
    assert resumed["audio_received_samples"] == 16_000
    again.send_audio(SECOND)
    tell(again, type="stop")
    events = until(again, "done")
    assert [event["seq"] for event in events] == list(range(seen + 1, seen + 1 + len(events)))
    assert events[-1]["duration"] == 2.0
    again.close()


def test_a_client_that_vanishes_gives_its_session_up(stack: Stack, frontend: str) -> None:
    watcher = open_client(stack, frontend)

    def sessions() -> int:
        return int(ask(watcher, type="status")["sessions"])

    wait_until(lambda: sessions() == 0, "no session is left over")
    vanishing = open_client(stack, frontend)
    start(vanishing)
    assert sessions() == 1
    vanishing.send_audio(SECOND)
    reset(vanishing)
    wait_until(lambda: sessions() == 0, "the session is detached")
    watcher.close()


# --- what belongs to one transport --------------------------------------------------------------------------------


@pytest.mark.parametrize("frontend", ["websocket", "web"], indirect=True)
def test_a_fragmented_message_is_one_message(client: Client) -> None:
    assert isinstance(client, WebSocketClient)
    text = json.dumps({"type": "audio", "audio_data": base64_of(SECOND)})
    client.connection.send(text[start : start + 999] for start in range(0, len(text), 999))
    assert (client.receive() or {})["type"] == "response"


@pytest.mark.parametrize("frontend", ["tcp"], indirect=True)
def test_a_frame_that_comes_byte_by_byte_is_one_message(client: Client) -> None:
    assert isinstance(client, TcpClient)
    client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    text = json.dumps({"type": "audio", "audio_data": base64_of(SECOND[:640])}).encode()
    for byte in struct.pack("!I", len(text)) + text:
        client.socket.sendall(bytes((byte,)))
    assert (client.receive() or {})["type"] == "response"


def test_the_next_session_may_be_started_right_behind_stop(client: Client) -> None:
    for duration_s in (0.5, 1.0):
        tell(client, type="start", partials=False)
        client.send_audio(tone(duration_s))
        tell(client, type="stop")
    events = [*until(client, "done"), *until(client, "done")]
    assert [event["type"] for event in events] == ["ready", "final", "done", "ready", "final", "done"]
    assert [event["duration"] for event in events if event["type"] == "done"] == [0.5, 1.0]
    assert events[0]["session_id"] != events[3]["session_id"]


def test_audio_without_a_session_is_refused_once(client: Client) -> None:
    for _ in range(20):
        client.send_audio(tone(0.1))
    tell(client, type="ping")
    assert [message["type"] for message in until(client, "pong")] == ["error", "pong"]


@pytest.mark.parametrize("frontend", ["tcp"], indirect=True)
def test_a_tcp_client_may_stop_sending_and_still_listen(client: Client) -> None:
    assert isinstance(client, TcpClient)
    tell(client, type="audio", audio_data=base64_of(SECOND * 5))
    tell(client, type="start")
    client.send_audio(SECOND)
    tell(client, type="stop")
    client.socket.shutdown(socket.SHUT_WR)
    assert (client.receive() or {})["type"] == "response"
    assert until(client, "done")[-1]["duration"] == 1.0
    assert client.receive() is None
