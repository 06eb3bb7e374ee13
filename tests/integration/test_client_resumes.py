"""The Python client when its connections do not last: its user notices nothing, or gets the reason for the end."""

import asyncio
import itertools
import random
import signal
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from frontend.client import (
    ConnectionLostError,
    Done,
    Final,
    LiveSession,
    SessionEvent,
    TranscriptionClient,
)
from shared.bus import keys
from shared.bus.connect import connect
from tests.command import VOXTRAL
from tests.integration.native_clients import wav
from tests.limits import limit_s
from tests.stack import Stack, free_ports, listens, wait_until
from tests.wire import Wire, wire_to

CHUNK = b"\1\0" * 1280
TIMEOUT_S = limit_s(40)


@pytest.fixture
async def wire(stack: Stack) -> AsyncIterator[Wire]:
    async with wire_to(stack.settings.websocket_port) as laid:
        yield laid


class Listener:
    """Reads a session in a separate task."""

    def __init__(self, session: LiveSession) -> None:
        self._session = session
        self.events: list[SessionEvent] = []
        self._news = asyncio.Event()
        self.task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for event in self._session:
            self.events.append(event)
            self._news.set()

    @property
    def finals(self) -> list[Final]:
        return [event for event in self.events if isinstance(event, Final)]

    async def hears_finals(self, count: int) -> None:
        while len(self.finals) < count:
            self._news.clear()
            await self._news.wait()


@pytest.mark.parametrize(
    ("seed", "encoding", "rate"),
    [(1, "pcm_s16le", 16_000), (2, "pcm_s16le", 16_000), (3, "pcmu", 8000), (4, "pcm_f32le", 44_100)],
)
async def test_session_survives_cuts_at_random_moments(wire: Wire, seed: int, encoding: str, rate: int) -> None:
    """Segments of random length, each ended by a commit: they end where it was said, and nowhere else."""
    generator = random.Random(seed)
    losses: list[str] = []
    sample = {"pcm_s16le": b"\1\0", "pcm_f32le": bytes(4), "pcmu": b"\xff"}[encoding]
    sent_samples, commits = 0, []
    async with (
        asyncio.timeout(TIMEOUT_S),
        TranscriptionClient(wire.url, on_reconnect=lambda error: losses.append(str(error))) as client,
        client.live(encoding=encoding, sample_rate=rate) as session,
    ):
        cutting = asyncio.create_task(cut_again_and_again(wire, random.Random(seed + 100)))
        listener = Listener(session)
        for number in range(12):
            for _ in range(generator.randrange(1, 30)):
                count = generator.randrange(1, rate // 8)
                await session.send(sample * count)
                sent_samples += count
                await asyncio.sleep(generator.random() * 0.01)
            await session.commit()
            commits.append(sent_samples / rate)
            await listener.hears_finals(number + 1)
        await session.send(sample * rate)
        sent_samples += rate
        await session.stop()
        await listener.task
        cutting.cancel()
    assert len(losses) >= 3
    finals, done = listener.finals, listener.events[-1]
    assert isinstance(done, Done)
    # 30 ms may still be in the server's filter when a commit comes, and the echo engine may hear the next chunk first.
    tolerance_s = 0.001 if rate == 16_000 else 0.035
    assert [final.end_s for final in finals[:-1]] == pytest.approx(commits, abs=tolerance_s)
    assert [final.segment for final in finals] == list(range(13))
    assert finals[0].start_s == 0
    assert all(after.start_s == before.end_s for before, after in itertools.pairwise(finals))
    assert done.duration_s == pytest.approx(sent_samples / rate, abs=0.001)
    assert done.text == " ".join(final.text for final in finals)
    numbers = [event.seq for event in listener.events]
    assert numbers == sorted(set(numbers))


async def cut_again_and_again(wire: Wire, generator: random.Random) -> None:
    while True:
        await asyncio.sleep(generator.uniform(0.02, 0.2))
        wire.cut()


async def test_session_that_is_cut_before_its_first_audio_continues(wire: Wire) -> None:
    async with asyncio.timeout(TIMEOUT_S), TranscriptionClient(wire.url) as client, client.live() as session:
        wire.cut()
        await session.send(CHUNK)
        await session.stop()
        assert [event.end_s for event in await events_of(session) if isinstance(event, Final)] == [0.08]


async def test_stop_is_sent_again_when_it_was_lost(wire: Wire) -> None:
    async with asyncio.timeout(TIMEOUT_S), TranscriptionClient(wire.url) as client, client.live() as session:
        await session.send(CHUNK)
        await anext(session)
        wire.freeze()
        await session.stop()
        await wire.swallowed.wait()
        wire.cut()
        assert isinstance((await events_of(session))[-1], Done)


async def test_events_during_a_disconnection_are_not_missed(wire: Wire) -> None:
    async with asyncio.timeout(TIMEOUT_S), TranscriptionClient(wire.url) as client, client.live() as session:
        wire.refuses = True
        for _ in range(25):
            await session.send(CHUNK)
        await wire.carries(25 * len(CHUNK))
        wire.cut()
        await wire.opens(4)
        await session.stop()
        wire.refuses = False
        done = (await events_of(session))[-1]
        assert isinstance(done, Done)
        assert done.duration_s == 2.0


async def events_of(session: LiveSession) -> list[SessionEvent]:
    return [event async for event in session]


@pytest.fixture
def two_frontends(stack: Stack) -> Iterator[tuple[str, str]]:
    """The WebSocket frontend and a second one, which the test may kill: their URLs, the second one first."""
    ports = free_ports(2)
    stack.spawn("websocket", "second", VOXTRAL_SERVER__TCP_PORTS=str(ports))
    wait_until(lambda: listens(ports[0]), "the second frontend listens")
    yield f"ws://127.0.0.1:{ports[0]}", stack.ws_url
    if "second" in stack.processes:
        stack.stop("second", signal.SIGKILL)


async def test_session_continues_at_another_frontend_when_its_own_is_killed(
    stack: Stack, two_frontends: tuple[str, str]
) -> None:
    losses: list[str] = []
    async with (
        asyncio.timeout(TIMEOUT_S),
        TranscriptionClient(*two_frontends, on_reconnect=lambda error: losses.append(str(error))) as client,
        client.live() as session,
    ):
        listener = Listener(session)
        for number in range(200):
            await session.send(CHUNK)
            await asyncio.sleep(0.005)
            if number == 100:
                stack.stop("second", signal.SIGKILL)
        await session.stop()
        await listener.task
    assert len(losses) == 1
    assert isinstance(listener.events[-1], Done)
    assert listener.events[-1].duration_s == 16.0
    assert sum(final.end_s - final.start_s for final in listener.finals) == pytest.approx(16)


async def test_session_gives_up_in_time(wire: Wire) -> None:
    losses: list[str] = []
    async with (
        TranscriptionClient(
            wire.url, resume_timeout_s=1, on_reconnect=lambda error: losses.append(str(error))
        ) as client,
        client.live() as session,
    ):
        await session.send(CHUNK)
        wire.refuses = True
        wire.cut()
        lost_at_s = time.monotonic()
        async with asyncio.timeout(limit_s(3)):
            with pytest.raises(ConnectionLostError):
                await events_of(session)
        assert time.monotonic() - lost_at_s > 0.9
        assert wire.connections > 3, "it has tried"
        assert len(losses) == 1
        with pytest.raises(ConnectionLostError):
            await session.send(CHUNK)
        with pytest.raises(ConnectionLostError):
            await session.stop()


async def test_session_that_the_server_does_not_know_any_more_ends_at_once(stack: Stack, wire: Wire) -> None:
    redis = connect(stack.settings)
    async with asyncio.timeout(TIMEOUT_S), TranscriptionClient(wire.url) as client, client.live() as session:
        await session.send(CHUNK)
        await anext(session)
        await redis.delete(keys.session(session.session_id))
        wire.cut()
        async with asyncio.timeout(limit_s(3)):
            with pytest.raises(ConnectionLostError, match="ended too long ago"):
                await events_of(session)
    await redis.aclose()


async def test_left_session_ends_while_it_reconnects(wire: Wire) -> None:
    async with asyncio.timeout(limit_s(5)), TranscriptionClient(wire.url) as client, client.live() as session:
        await session.send(CHUNK)
        wire.refuses = True
        wire.cut()
        await wire.opens(2)


async def test_command_says_that_it_reconnects_and_loses_nothing(stack: Stack, wire: Wire) -> None:
    recording = stack.folder / "cut.wav"
    recording.write_bytes(wav(4))
    command = await asyncio.create_subprocess_exec(
        VOXTRAL,
        *("transcribe", str(recording), "--live", "--url", wire.url, "--format", "json"),
        env=stack.env,
        cwd=stack.folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(TIMEOUT_S):
        await wire.carries(32_000)  # a quarter of the recording
        wire.cut()
        output, errors = await command.communicate()
    assert command.returncode == 0, errors
    assert b"Reconnecting." in errors
    assert b'"duration": 4.0' in output
