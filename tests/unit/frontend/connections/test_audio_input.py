"""A stream in a container for which no decoder is free."""

import asyncio

import pytest

from frontend.connections.audio_input import ContainerIntake
from frontend.decoding.decoders import Decoders
from shared.config.settings import Settings
from shared.errors import ServerBusyError
from shared.session_options import SessionOptions
from tests.unit.clock import clocked
from tests.unit.frontend.memory_bus import MemoryBus


async def report(error: Exception) -> None:
    raise error


@clocked
async def test_stream_without_a_decoder_for_its_beginning_gets_none_later() -> None:
    session = await MemoryBus().gateway(Settings()).open(SessionOptions())
    decoders = Decoders(1, patience_s=1, most_live=1)
    decoders.live_streams = 1
    intake = ContainerIntake(session, decoders, report, asyncio.create_task)
    with pytest.raises(ServerBusyError, match="All 1 decoders of live streams are in use"):
        await intake.take(b"OggS beginning")
    decoders.live_streams = 0
    depths = set()
    for _ in range(3):
        with pytest.raises(ServerBusyError, match="All 1 decoders of live streams are in use") as told:
            await intake.take(b"rest")
        depths.add(len(told.traceback))
    assert len(depths) == 1, "a traceback that grows holds all audio"
    await intake.finish()
    intake.close()
