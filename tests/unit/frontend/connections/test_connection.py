"""The loop of a connection over a transport and a bus in memory, with a clock of its own: in any dialect."""

import asyncio
import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from frontend.access.access import Access
from frontend.access.session_tokens import identity_of
from frontend.connections.connections import Connections
from frontend.decoding.decoders import Decoders
from frontend.monitoring.process_report import Tally
from frontend.protocols.mistral.realtime import MistralRealtime
from frontend.protocols.openai.realtime import OpenAIRealtime
from frontend.protocols.telephony import twilio
from frontend.protocols.telephony.call_stream import CallStream
from frontend.protocols.whisperlive.realtime import COMMIT_AFTER_S, END_OF_AUDIO, WhisperLive
from frontend.servers.transports import DisconnectedError
from frontend.sessions.recordings import Recordings
from shared.config.settings import Settings
from shared.errors import FrameInvalidError
from shared.events import SAMPLE_RATE_HZ
from shared.metrics.metrics import Metrics
from tests.unit.clock import clocked
from tests.unit.frontend.memory_bus import MemoryBus
from tests.unit.frontend.protocols.telephony.messages import STREAM, media, start
from tests.unit.frontend.protocols.whisperlive.test_whisperlive import OPTIONS as WHISPERLIVE_OPTIONS

SECOND = b"\1\0" * SAMPLE_RATE_HZ
START = '{"type": "start"}'
STOP = '{"type": "stop"}'
LEAVES = None


class MemoryTransport:
    """What a client sends is given to it, and what it is sent is kept."""

    guesses_text = False
    address = "127.0.0.1"
    heard_at_s = 0.0

    def __init__(self, *, left: bool = False) -> None:
        self._coming: asyncio.Queue[Any] = asyncio.Queue()
        self.sent: list[dict[str, Any]] = []
        self.closed_with: tuple[int, str] | None = None
        self.gone = self.closed = False
        self.left = left
        self.breaks_on: str | None = None
        self.reads = asyncio.Event()
        """Whether the client takes what it is sent."""
        self.reads.set()

    def say(self, *messages: Any) -> None:
        for message in messages:
            self._coming.put_nowait(message)

    def restrict(self, limit_bytes: int) -> None:
        """Nothing here is held."""

    def trust(self) -> None:
        """The same."""

    async def receive(self) -> Any:
        message = await self._coming.get()
        if isinstance(message, Exception):
            raise message
        return message

    async def send(self, text: bytes) -> None:
        await self.reads.wait()
        if self.gone:
            raise DisconnectedError
        wire = json.loads(text)
        if self.breaks_on is not None and wire["type"] == self.breaks_on:
            raise RuntimeError("the inside of the server")
        self.sent.append(wire)

    async def close(self, code: int, reason: str) -> None:
        self.closed_with = (code, reason)

    def abort(self) -> None:
        self.gone = True
        self.reads.set()

    @property
    def kinds(self) -> list[str]:
        return [wire["type"] for wire in self.sent]


class Served:
    """One client of a service in memory."""

    def __init__(self, settings: Settings = Settings(), *, left: bool = False) -> None:  # noqa: B008 -- frozen
        self.bus = MemoryBus()
        self.transport = MemoryTransport(left=left)
        self.gateway = self.bus.gateway(settings)
        self.tally = Tally("test", self.gateway, (), Metrics())
        decoders = Decoders(1, 1.0, most_live=1)
        self.connections = Connections(
            settings,
            self.gateway,
            Access(settings, self.bus.redis),
            decoders=decoders,
            recordings=Recordings(self.gateway, decoders, settings.audio, Metrics()),
            tally=self.tally,
        )

    def native(self) -> asyncio.Task[None]:
        return asyncio.create_task(self.connections.serve_native(self.transport))

    @property
    def session_id(self) -> str:
        [session_id] = self.gateway.sessions
        return session_id


async def until(condition: Callable[[], object]) -> None:
    """Let the others run until this holds; the clock stands meanwhile."""
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never holds")


@clocked
async def test_a_native_session_from_start_to_done() -> None:
    served = Served()
    serving = served.native()
    served.transport.say(START, SECOND, '{"type": "commit", "number": 1}', STOP)
    await until(lambda: served.gateway.sessions and "end" in served.bus.held[served.session_id].controls)
    held = served.bus.held[served.session_id]
    assert (held.samples, held.controls) == (SAMPLE_RATE_HZ, ["commit", "end"])
    served.bus.say(served.session_id, "done", text="", duration=1.0)
    await until(lambda: served.transport.kinds == ["ready", "done"])
    served.transport.say('{"type": "ping", "id": 7}', LEAVES)
    await serving
    assert (served.transport.sent[-1]["type"], served.transport.sent[-1]["id"]) == ("pong", 7)
    assert (served.transport.closed_with, served.tally.received_bytes) == ((1000, ""), len(SECOND))


@clocked
async def test_a_start_waits_for_the_session_that_finishes() -> None:
    served = Served()
    serving = served.native()
    served.transport.say(START, SECOND, STOP, START)
    await until(lambda: served.gateway.sessions and "end" in served.bus.held[served.session_id].controls)
    assert served.transport.kinds == ["ready"]
    served.bus.say(served.session_id, "done", text="", duration=1.0)
    await until(lambda: served.transport.kinds == ["ready", "done", "ready"])
    served.transport.say(LEAVES)
    await serving
    assert served.gateway.opened_total == 2


@clocked
async def test_a_client_that_leaves_without_stop_keeps_its_session_for_a_while() -> None:
    served = Served()
    serving = served.native()
    served.transport.say(START, SECOND, LEAVES)
    await serving
    [held] = served.bus.held.values()
    assert (held.controls, served.gateway.sessions) == (["detach"], {})


@clocked
async def test_a_client_that_leaves_in_good_order_gets_its_answer() -> None:
    served = Served(left=True)
    serving = served.native()
    served.transport.say(START, SECOND, LEAVES)
    await until(lambda: served.gateway.sessions and "end" in served.bus.held[served.session_id].controls)
    served.bus.say(served.session_id, "done", text="all", duration=1.0)
    await serving
    assert served.transport.kinds == ["ready", "done"]


@clocked
async def test_the_socket_is_not_read_while_there_is_backpressure() -> None:
    served = Served(Settings(session={"max_backlog_s": 2}))
    serving = served.native()
    served.transport.say(START, SECOND, SECOND, SECOND, '{"type": "ping"}')
    await until(lambda: served.gateway.sessions and served.bus.held[served.session_id].samples == 2 * SAMPLE_RATE_HZ)
    await asyncio.sleep(5)
    assert served.transport.kinds == ["ready"]
    served.bus.hear(served.session_id, SAMPLE_RATE_HZ)
    await until(lambda: served.transport.kinds == ["ready", "pong"])
    served.transport.say(LEAVES)
    await serving


@clocked
async def test_a_silent_client_is_let_go_after_the_idle_timeout() -> None:
    served = Served(Settings(session={"idle_timeout_s": 60}))
    began_s = asyncio.get_running_loop().time()
    await served.native()
    assert 60 < asyncio.get_running_loop().time() - began_s < 64
    assert (served.transport.sent[-1]["code"], served.transport.closed_with) == ("idle_timeout", (1000, "idle_timeout"))


@clocked
async def test_a_stop_ends_the_audio_whatever_its_number_is() -> None:
    served = Served()
    serving = served.native()
    served.transport.say(START, SECOND, '{"type": "commit", "number": 2}', '{"type": "stop", "number": 1}')
    await until(lambda: served.gateway.sessions and served.bus.held[served.session_id].controls == ["commit", "end"])
    served.bus.say(served.session_id, "done", text="all", duration=1.0)
    await until(lambda: served.transport.kinds == ["ready", "done"])
    served.transport.say(LEAVES)
    await serving


@clocked
async def test_a_client_that_has_stopped_and_resumed_may_be_silent() -> None:
    served = Served()
    serving = served.native()
    served.transport.say(START, SECOND, STOP)
    await until(lambda: served.gateway.sessions and "end" in served.bus.held[served.session_id].controls)
    session_id, token = served.session_id, served.transport.sent[0]["resume_token"]
    served.transport.say(DisconnectedError())
    await serving
    served.transport = MemoryTransport()
    serving = served.native()
    served.transport.say(json.dumps({"type": "resume", "session_id": session_id, "resume_token": token, "seq": 1}))
    await until(lambda: served.transport.kinds == ["ready"])
    await asyncio.sleep(3 * Settings().session.idle_timeout_s)
    served.bus.say(session_id, "done", text="all", duration=1.0)
    await until(lambda: served.transport.kinds == ["ready", "done"])
    served.transport.say(LEAVES)
    await serving


@clocked
async def test_a_client_that_waits_for_text_without_ending_its_audio_gets_it() -> None:
    served = Served()
    serving = asyncio.create_task(served.connections.serve(served.transport, WhisperLive()))
    served.transport.say(json.dumps(WHISPERLIVE_OPTIONS), SECOND * 2)
    await until(lambda: served.gateway.sessions and served.bus.held[served.session_id].samples)
    held = served.bus.held[served.session_id]
    await asyncio.sleep(COMMIT_AFTER_S * 10)
    assert held.controls == ["commit"]
    served.transport.say(SECOND * 2)
    await until(lambda: held.samples == 2 * SAMPLE_RATE_HZ)
    assert held.controls == ["commit"]
    await asyncio.sleep(COMMIT_AFTER_S * 2)
    served.transport.say(END_OF_AUDIO)
    await asyncio.sleep(COMMIT_AFTER_S * 2)
    assert held.controls == ["commit", "commit", "end"]
    served.bus.say(served.session_id, "done", text="", duration=1.0)
    await serving


@clocked
async def test_one_rejected_message_leaves_the_connection_open() -> None:
    served = Served()
    serving = served.native()
    served.transport.say('{"type": "nonsense", "id": 3}', '{"type": "ping"}', LEAVES)
    await serving
    assert served.transport.kinds == ["error", "pong"]
    assert (served.transport.sent[0]["code"], served.transport.sent[0]["id"]) == ("unknown_type", 3)


@clocked
async def test_configure_that_is_rejected_leaves_the_format_of_the_audio() -> None:
    served = Served()
    serving = served.native()
    served.bus.languages = ["en"]
    served.transport.say(
        '{"type": "start", "sample_rate": 8000}',
        '{"type": "configure", "sample_rate": 48000, "language": "de"}',
        '{"type": "configure", "channels": 2}',
        SECOND,
        STOP,
    )
    await until(lambda: served.gateway.sessions and "end" in served.bus.held[served.session_id].controls)
    assert [wire.get("code") for wire in served.transport.sent] == [None, "invalid_field"]
    assert served.bus.held[served.session_id].samples == SAMPLE_RATE_HZ
    served.bus.say(served.session_id, "done", text="", duration=1.0)
    await until(lambda: served.transport.kinds == ["ready", "error", "done"])
    served.transport.say(LEAVES)
    await serving


@clocked
async def test_broken_framing_closes_the_connection_with_its_code() -> None:
    served = Served()
    served.transport.say(FrameInvalidError("The framing is broken."))
    await served.native()
    assert (served.transport.kinds, served.transport.closed_with) == (["error"], (1002, "frame_invalid"))


@pytest.mark.parametrize("dialect", ["native", "openai"])
def test_a_fault_of_ours_in_a_session_gives_only_the_session_up(dialect: str) -> None:
    @clocked
    async def run() -> None:
        served = Served()
        if dialect == "native":
            served.transport.breaks_on = "partial"
            served.transport.say(START, SECOND)
            serving = served.native()
        else:
            served.transport.breaks_on = "conversation.item.input_audio_transcription.delta"
            served.transport.say(appended("input_audio_buffer.append"))
            serving = asyncio.create_task(served.connections.serve(served.transport, OpenAIRealtime("echo")))
        await until(lambda: served.gateway.sessions and served.bus.held[served.session_id].samples)
        said = {"text": "one", "segment": 0, "start": 0.0, "committed": {"text": "one", "words": []}}
        served.bus.say(served.session_id, "speech_started", start=0.0, segment=0)
        served.bus.say(served.session_id, "partial", end=0.5, **said)
        await until(lambda: "error" in served.transport.kinds)
        assert "inside" not in json.dumps(served.transport.sent)
        assert (serving.done(), served.gateway.sessions) == (False, {})
        served.transport.say(LEAVES)
        await serving

    with capture_logs() as lines:
        run()
    assert [line["event"] for line in lines].count("internal_error") == 1


@clocked
async def test_a_cancelled_connection_detaches_its_session_and_closes() -> None:
    served = Served()
    serving = served.native()
    served.transport.say(START, SECOND)
    await until(lambda: served.gateway.sessions and served.bus.held[served.session_id].samples)
    held = served.bus.held[served.session_id]
    serving.cancel()
    await serving
    assert (held.controls, served.transport.closed_with) == (["detach"], (1012, "server stops"))
    assert served.tally.connected_clients == 0


@clocked
async def test_a_dialect_that_cannot_resume_ends_its_session_with_the_connection() -> None:
    served = Served()
    served.transport.say(appended("input_audio.append"), LEAVES)
    await served.connections.serve(served.transport, MistralRealtime("r1", "auto"))
    assert (len(served.bus.erased), served.gateway.sessions) == (1, {})


@clocked
async def test_with_viewers_what_was_said_is_still_answered() -> None:
    served = Served()
    served.transport.say(appended("input_audio.append"), LEAVES)
    await served.connections.serve(served.transport, MistralRealtime("r1", "auto"), tells_viewer_token=True)
    [held] = served.bus.held.values()
    assert (held.controls, served.bus.erased) == (["end"], [])
    told = next(wire for wire in served.transport.sent if wire["type"] == "voxtral.session")
    assert told["viewer_token"]


@clocked
async def test_a_call_that_is_hung_up_is_transcribed_to_its_end() -> None:
    """Without `stop`, and with a packet of only one of its tracks."""
    served = Served()
    stream = CallStream(twilio.parse_start, lambda stream_id: identity_of("secret", stream_id))
    served.transport.say(json.dumps(start(tracks=["inbound", "outbound"])), json.dumps(media(b"\1" * 800)), LEAVES)
    served.transport.gone = True
    await served.connections.serve(served.transport, stream, at_end=stream.end)
    assert list(served.bus.held) == [identity_of("secret", STREAM).session_id]
    [held] = served.bus.held.values()
    assert (set(held.controls), held.samples, served.bus.erased, served.transport.sent) == ({"end"}, 1600, [], [])


@clocked
async def test_a_cancelled_session_is_erased_and_nothing_more_is_said_of_it() -> None:
    served = Served()
    serving = served.native()
    served.transport.say(START, SECOND, '{"type": "cancel"}', '{"type": "ping"}', LEAVES)
    await serving
    assert served.transport.kinds == ["ready", "pong"]
    assert len(served.bus.erased) == 1


@clocked
async def test_status_tells_of_connections_and_sessions() -> None:
    served = Served()
    served.transport.say(START, '{"type": "status", "id": "s"}', LEAVES)
    await served.native()
    status = served.transport.sent[-1]
    assert (status["type"], status["id"], status["connected_clients"], status["sessions"]) == ("status", "s", 1, 1)


def appended(kind: str) -> str:
    """A second of audio, as dialects have it."""
    return json.dumps({"type": kind, "audio": base64.b64encode(SECOND).decode()})
