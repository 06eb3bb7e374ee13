"""The client without asyncio, against a real service: recordings, live sessions, interruptions, a killed server."""

import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import voxtral_client
from tests.integration.native_clients import tone, wav
from tests.limits import limit_s
from tests.stack import Stack, free_ports, listens, wait_until
from voxtral_client import Done, Final, Partial, Ready, ServerError, UnreachableError
from voxtral_client.sync import TranscriptionClient

TIMEOUT_S = limit_s(20)
SECOND = b"\1\0" * 16_000


@pytest.fixture
def client(stack: Stack) -> Iterator[TranscriptionClient]:
    with TranscriptionClient(stack.web_url) as client:
        yield client


def test_transcribe_takes_a_path_and_bytes(stack: Stack, tmp_path: Path) -> None:
    recording = tmp_path / "speech.wav"
    recording.write_bytes(wav(1))

    assert "1 seconds" in voxtral_client.transcribe(recording, stack.ws_url, model="echo").text
    assert "1 seconds" in voxtral_client.transcribe(str(recording), stack.web_url, numerals=True).text
    raw = voxtral_client.transcribe(tone(2), stack.web_url, encoding="pcm_s16le", sample_rate=16_000)
    assert raw.audio_duration_ms == 2000


def test_client_answers_requests_one_after_another(client: TranscriptionClient) -> None:
    assert client.ping() > 0
    assert client.status()["model_info"]["model"] == "echo"
    with pytest.raises(ServerError) as refused:
        client.transcribe(wav(1), language="klingon")
    assert refused.value.code == "invalid_field"
    assert client.transcribe(wav(1)).text


def test_live_session_is_iterated(client: TranscriptionClient) -> None:
    with client.live(partials=False) as session:
        assert isinstance(session.ready, Ready)
        session.send(SECOND)
        session.commit()
        session.configure(numerals=True)
        session.send(SECOND)
        session.stop()
        events = list(session)

    assert [event.end for event in events if isinstance(event, Final)] == [1.0, 2.0]
    assert isinstance(events[-1], Done)
    assert session.session_id


def test_receive_times_out_without_losing_an_event(client: TranscriptionClient) -> None:
    with client.live() as session:
        with pytest.raises(TimeoutError):
            session.receive(timeout_s=0)
        session.send(SECOND)
        assert isinstance(session.receive(TIMEOUT_S), Partial)
        session.stop()
        assert isinstance(list(session)[-1], Done)
        assert session.receive() is None


def test_two_threads_share_a_session(client: TranscriptionClient) -> None:
    def speak() -> None:
        for _ in range(20):
            session.send(SECOND[:3200])
        session.stop()

    with client.live() as session:
        speaking = threading.Thread(target=speak)
        speaking.start()
        done = list(session)[-1]
        speaking.join()

    assert isinstance(done, Done)
    assert done.duration == 2.0


def test_session_survives_a_frontend_that_is_killed_in_mid_sentence(stack: Stack) -> None:
    ports = free_ports(2)
    stack.spawn("websocket", "killed", VOXTRAL_SERVER__TCP_PORTS=str(ports))
    wait_until(lambda: listens(ports[0]), "the second frontend listens")
    losses: list[str] = []
    with (
        TranscriptionClient(
            f"ws://127.0.0.1:{ports[0]}", stack.ws_url, on_reconnect=lambda lost: losses.append(str(lost))
        ) as client,
        client.live() as session,
    ):
        session.send(SECOND)
        assert isinstance(session.receive(TIMEOUT_S), Partial)
        stack.stop("killed", signal.SIGKILL)
        session.send(SECOND)
        session.stop()
        events = list(session)

    assert len(losses) == 1
    assert isinstance(events[-1], Done)
    assert events[-1].duration == 2.0
    assert sum(final.end - final.start for final in events if isinstance(final, Final)) == pytest.approx(2)


async def test_client_works_beside_a_running_event_loop(stack: Stack) -> None:
    assert "1 seconds" in voxtral_client.transcribe(wav(1), stack.web_url).text  # as in a notebook


def test_errors_arrive_and_threads_end() -> None:
    before = threading.active_count()
    with pytest.raises(UnreachableError), TranscriptionClient(f"127.0.0.1:{free_ports(1)[0]}") as client:
        client.ping()
    assert threading.active_count() == before
    with pytest.raises(RuntimeError, match="closed"):
        client.ping()
