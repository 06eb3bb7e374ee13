"""Decoders that crash, hang, are killed or have no room: the effect on their clients, and on the others."""

import asyncio
import os
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from frontend.cli.stream import LiveStream
from frontend.decoding.decoders import Decoders
from frontend.decoding.link import DecoderLink
from frontend.decoding.reading import Reading, new_pipe
from frontend.decoding.recording_file import recording_file
from shared.decoder.wire import Order, WireError
from shared.errors import DecoderFailedError, DecoderStalledError, ServerBusyError, VoxtralError
from shared.tasks import end_all
from tests.integration.decoding import begun, children, decoded, decoders_of, eventually, is_gone, long_wav, server_of
from tests.stack import free_ports
from tests.unit.shared.audio.test_files import made


async def rest_of(blocks: object) -> int:
    """Blocks until the end of a recording."""
    return len([block async for block in blocks])  # type: ignore[attr-defined]


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGABRT])
async def test_crash_is_an_error_of_one_client(number: signal.Signals) -> None:
    async with (
        Decoders.running(4, patience_s=10) as decoders,
        begun(decoders, long_wav(20)) as other,
        begun(decoders, long_wav(20)) as unlucky,
    ):
        os.kill(max(decoders_of(decoders)), number)
        with pytest.raises(DecoderFailedError):
            await rest_of(unlucky)
        assert await rest_of(other) == 19
        assert await decoded(decoders, made("flac"))


async def test_decoder_that_hangs_is_killed() -> None:
    async with Decoders.running(1, patience_s=10, stall_s=0.3) as decoders, begun(decoders, long_wav()) as hanging:
        (pid,) = decoders_of(decoders)
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(DecoderStalledError, match=r"the decoder returned nothing for 0\.3 s"):
            await rest_of(hanging)
        await eventually(lambda: is_gone(pid))
        assert await decoded(decoders, made("flac"))


async def test_client_that_leaves_ends_its_decoder() -> None:
    async with Decoders.running(1, patience_s=10) as decoders:
        blocks = decoders.pcm(long_wav())
        await anext(blocks)
        (pid,) = decoders_of(decoders)
        os.kill(pid, signal.SIGSTOP)  # so that nothing comes
        waiting = asyncio.create_task(rest_of(blocks))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await eventually(lambda: is_gone(pid))
        assert await decoded(decoders, made("flac"))


async def test_lost_server_is_replaced_and_its_clients_may_try_again() -> None:
    async with Decoders.running(4, patience_s=10) as decoders, begun(decoders, long_wav()) as blocks:
        server = await server_of(decoders)
        (pid,) = decoders_of(decoders)
        os.kill(server, signal.SIGKILL)
        with pytest.raises(ServerBusyError, match="interrupted") as caught:
            await rest_of(blocks)
        assert caught.value.retry_after_s == 2.0
        assert await decoded(decoders, made("flac"))
        assert await server_of(decoders) != server
        await eventually(lambda: is_gone(pid))


SECOND_FORK_FAILS = """#!{python}
import os, runpy, sys
fork, forks = os.fork, []
def second_fails():
    forks.append(None)
    if len(forks) == 2:
        raise BlockingIOError(11, "Resource temporarily unavailable")
    return fork()
os.fork = second_fails
sys.argv = sys.argv[3:]  # without -P -m
runpy.run_module("shared.decoder", run_name="__main__")
"""


async def test_decoder_that_cannot_start_fails_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "python"
    python.write_text(SECOND_FORK_FAILS.format(python=sys.executable))
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    async with Decoders.running(4, patience_s=10) as decoders, begun(decoders, long_wav(20)) as other:
        with pytest.raises(ServerBusyError, match="interrupted"):
            await decoded(decoders, made("flac"))
        assert await decoded(decoders, made("flac"))
        assert await rest_of(other) == 19


async def test_recording_that_is_started_on_a_lost_server_ends_at_once() -> None:
    link = DecoderLink()
    link.close()
    with new_pipe() as pipe, recording_file() as file:
        ending = link.start(Order(1, None, None), await file.open(made("wav")), pipe.writable)
    assert ending.result() is None, "otherwise its place is never free again"


async def test_interrupt_of_a_terminal_does_not_reach_a_server_that_starts() -> None:
    link = DecoderLink()
    try:
        os.kill(link.pid, signal.SIGINT)
        assert await link.ready is not None
    finally:
        link.close()


async def test_interrupt_of_a_terminal_does_not_reach_a_decoder_of_a_stream_that_starts() -> None:
    others = children()
    async with LiveStream("stream", f"rtsp://127.0.0.1:{free_ports(1)[0]}/live").decoded() as blocks:
        for child in children() - others:
            os.kill(child, signal.SIGINT)
        with pytest.raises(VoxtralError, match="The stream cannot be opened: Connection refused"):
            await anext(blocks)


async def test_server_starts_for_the_first_recording() -> None:
    others = children()
    decoders = Decoders(1, patience_s=10)
    running = asyncio.create_task(decoders.run())
    await asyncio.sleep(0)
    assert children() == others, "nothing runs for a process that decodes nothing"
    assert await decoded(decoders, made("flac"))
    assert children() - others == {await server_of(decoders)}
    await end_all((running,))
    assert children() == others


async def test_nothing_is_left_at_the_end() -> None:
    async with AsyncExitStack() as stack:
        decoders = await stack.enter_async_context(Decoders.running(4, patience_s=10))
        blocks = decoders.pcm(long_wav())
        await anext(blocks)
        left = {await server_of(decoders), *decoders_of(decoders)}
    with pytest.raises(VoxtralError):
        await rest_of(blocks)
    assert len(left) == 2
    for pid in left:
        await eventually(lambda pid=pid: is_gone(pid))  # type: ignore[misc]


async def test_recordings_wait_in_order_and_not_for_ever() -> None:
    async with Decoders.running(1, patience_s=30) as decoders, AsyncExitStack() as stack:
        held = await stack.enter_async_context(begun(decoders, long_wav()))
        finished: list[int] = []

        async def decode(number: int) -> None:
            assert await decoded(decoders, made("wav"))
            finished.append(number)

        async with asyncio.TaskGroup() as group:
            for number in range(5):
                group.create_task(decode(number))
                await asyncio.sleep(0)
            gave_up = group.create_task(decode(9))
            await asyncio.sleep(0)
            gave_up.cancel()
            assert len(decoders_of(decoders)) == 1
            assert not finished
            await held.aclose()
        assert finished == [0, 1, 2, 3, 4]


async def test_recordings_are_refused_when_too_many_wait_or_for_too_long() -> None:
    async with Decoders.running(1, patience_s=0.2) as decoders, begun(decoders, long_wav()):
        with pytest.raises(ServerBusyError, match="All 1 decoders are in use") as caught:
            await decoded(decoders, made("wav"))
        assert caught.value.retry_after_s == 2.0
    async with Decoders.running(1, patience_s=30) as decoders, begun(decoders, long_wav()):
        waiting = [asyncio.create_task(decoded(decoders, made("wav"))) for _ in range(100)]
        await asyncio.sleep(0)
        with pytest.raises(ServerBusyError):
            await decoded(decoders, made("wav"))
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_internal_fault_is_logged_with_its_place() -> None:
    link = DecoderLink()
    try:
        assert await link.ready is not None
        with new_pipe() as pipe, recording_file() as file:
            reading = await Reading.of(pipe, 1, None)
            order = Order(1, max_duration_s="no number", cpu_s=None)  # type: ignore[arg-type]
            ending = link.start(order, await file.open(made("wav")), pipe.writable)
        with pytest.raises(WireError, match=r"^TypeError: .* \(.*files\.py:\d+\)$"):
            await reading.next(10)
        reading.close()
        end = await ending
        assert end is not None
        assert end.exit_code == 0
    finally:
        link.close()
