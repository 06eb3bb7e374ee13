"""The client's outbox: what is sent again after a loss is what the server lacks, no more and no less."""

import asyncio
import json
import random
from collections import deque
from contextlib import suppress
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.limits import limit_s
from voxtral_client.outbox import KEEP_S, PIECE_BYTES, AudioForgottenError, Control, Outbox

SECOND_BYTES = 32_000


async def sent(outbox: Outbox) -> list[bytes | int]:
    """All that is to be sent now: audio, and the numbers of control messages."""
    found: list[bytes | int] = []
    with suppress(TimeoutError):
        while True:
            async with asyncio.timeout(0):
                content = await outbox.next()
            found.append(content.number if isinstance(content, Control) else content)
    return found


def audio_of(found: list[bytes | int]) -> bytes:
    return b"".join(part for part in found if isinstance(part, bytes))


async def test_rewind_cuts_at_the_sample_that_the_server_lacks() -> None:
    outbox = Outbox()
    await outbox.put(bytes(range(200)))
    await outbox.put(bytes(range(200, 250)))
    await sent(outbox)
    outbox.rewind(30, 0)
    assert audio_of(await sent(outbox)) == bytes(range(60, 250))


@pytest.mark.parametrize(
    ("encoding", "rate", "received", "first_byte"),
    [("pcmu", 8000, 7, 3), ("pcm_s16le", 8000, 8, 8), ("pcm_f32le", 48_000, 5, 60), ("pcm_s16le", 44_100, 100, 550)],
)
async def test_rewind_finds_the_place_at_other_rates(encoding: str, rate: int, received: int, first_byte: int) -> None:
    outbox = Outbox(encoding, rate)
    audio = random.Random(1).randbytes(1000)
    await outbox.put(audio)
    await sent(outbox)
    outbox.rewind(received, 0)
    assert audio_of(await sent(outbox)) == audio[first_byte:]


async def test_control_messages_keep_their_place_and_are_sent_again_by_number() -> None:
    outbox = Outbox()
    await outbox.put(b"aabb")
    outbox.put_control({"type": "commit"})
    await outbox.put(b"cc")
    outbox.put_control({"type": "stop"})
    assert await sent(outbox) == [b"aabb", 1, b"cc", 2]
    outbox.rewind(2, 0)
    assert await sent(outbox) == [1, b"cc", 2]
    outbox.rewind(2, 1)
    assert await sent(outbox) == [b"cc", 2]
    outbox.rewind(3, 2)
    assert await sent(outbox) == []


async def test_control_message_is_kept_as_json_and_its_caller_learns_what_json_cannot_hold() -> None:
    outbox = Outbox()
    terms = deque(["Anna", MappingProxyType({"term": "Bob", "boost": 2})])
    outbox.put_control({"type": "configure", "keyterms": terms, "language": None})
    terms.clear()
    with pytest.raises(TypeError, match="An option cannot be of type complex: 1j"):
        outbox.put_control({"type": "configure", "temperature": 1j})
    outbox.put_control({"type": "stop"})

    first, second = await outbox.next(), await outbox.next()

    assert isinstance(first, Control)
    assert json.loads(first.text) == {
        "type": "configure",
        "keyterms": ["Anna", {"term": "Bob", "boost": 2}],
        "language": None,
        "number": 1,
    }
    assert isinstance(second, Control)
    assert second.number == 2


async def test_confirmed_audio_is_dropped_and_cannot_be_sent_again() -> None:
    outbox = Outbox()
    await outbox.put(bytes(400))
    await outbox.put(bytes(400))
    await sent(outbox)
    outbox.confirm(200)
    assert outbox.kept_bytes == 400
    outbox.rewind(200, 0)
    with pytest.raises(AudioForgottenError):
        outbox.rewind(199, 0)


async def test_a_control_message_at_the_confirmed_place_is_kept() -> None:
    outbox = Outbox()
    await outbox.put(bytes(400))
    outbox.put_control({"type": "commit"})
    await sent(outbox)
    outbox.confirm(200)
    outbox.rewind(200, 0)
    assert await sent(outbox) == [1]


async def test_put_waits_for_room_and_continues_when_audio_is_confirmed() -> None:
    outbox = Outbox()
    putting = asyncio.create_task(outbox.put(bytes(int((KEEP_S + 5) * SECOND_BYTES))))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not putting.done()
    assert outbox.kept_bytes <= KEEP_S * SECOND_BYTES + PIECE_BYTES
    await sent(outbox)
    outbox.confirm(16_000 * 15)
    await asyncio.sleep(0)
    assert not putting.done(), "half of it is still kept"
    outbox.confirm(16_000 * 17)
    await asyncio.wait_for(putting, limit_s(1))
    assert outbox.kept_bytes <= KEEP_S * SECOND_BYTES + PIECE_BYTES


async def test_closing_releases_waiting_callers() -> None:
    outbox = Outbox()
    putting = asyncio.create_task(outbox.put(bytes(40 * SECOND_BYTES)))
    await asyncio.sleep(0)
    outbox.close()
    await asyncio.wait_for(putting, limit_s(1))
    assert outbox.kept_bytes == 0


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 12))
def test_a_server_that_loses_connections_gets_everything_once_and_in_order(seed: int, losses: int) -> None:
    asyncio.run(lose(random.Random(seed), losses))


async def lose(generator: random.Random, losses: int) -> None:
    """A server that has a random part of what was sent when the connection breaks, and says so now and then."""
    outbox = Outbox()
    audio, received, controls = bytearray(), bytearray(), 0
    for _ in range(losses):
        for _ in range(generator.randrange(6)):
            if generator.random() < 0.3:
                outbox.put_control({"type": "commit", "at": len(audio)})
            else:
                piece = generator.randbytes(generator.randrange(1, 50))
                audio += piece
                await outbox.put(piece)
        arrived = generator.randrange(10)
        with suppress(TimeoutError):
            while True:
                async with asyncio.timeout(0):
                    content = await outbox.next()
                if arrived <= 0:
                    continue
                arrived -= 1
                if isinstance(content, Control):
                    assert content.number == controls + 1
                    at = json.loads(content.text)["at"]
                    assert len(received) in {at, at - 1}
                    controls = content.number
                else:
                    received += content
                if generator.random() < 0.5:
                    outbox.confirm(len(received) // 2)
        del received[len(received) - len(received) % 2 :]  # half a sample is lost with its connection
        outbox.rewind(len(received) // 2, controls)
    rest = await sent(outbox)
    assert bytes(received) + audio_of(rest) == bytes(audio)


async def test_container_that_was_sent_is_not_kept() -> None:
    outbox = Outbox("container")
    await outbox.put(bytes(1000))
    await sent(outbox)
    await outbox.put(bytes(500))
    outbox.confirm(1)
    assert outbox.kept_bytes == 500
