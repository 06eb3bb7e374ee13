"""What a WebSocket client has sent is looked at when there is room for it, and its socket is read only then."""

import asyncio
from typing import Any

from websockets.frames import Frame, Opcode

from frontend.servers.inbox import MAX_UNREAD_BYTES, MAX_WAITING, MAX_WAITING_BYTES, Inbox
from shared.errors import MessageTooLargeError

LIMIT = 10 * MAX_WAITING_BYTES


class Socket(asyncio.Transport):
    """Notes what is done to it."""

    def __init__(self) -> None:
        super().__init__()
        self.is_read = True
        self.is_aborted = False
        self.unread_bytes = 0

    def pause_reading(self) -> None:
        self.is_read = False

    def resume_reading(self) -> None:
        self.is_read = True

    def is_closing(self) -> bool:
        return self.is_aborted

    def abort(self) -> None:
        self.is_aborted = True

    def get_write_buffer_size(self) -> int:
        return self.unread_bytes


def opened() -> tuple[Inbox, Socket, list[bytes]]:
    bare, controls = Socket(), list[bytes]()
    queue: asyncio.Queue[Any] = asyncio.Queue()
    return Inbox(queue, LIMIT, bare, on_control=controls.append, wrapped=lambda item: item), bare, controls


def sent(content: bytes, opcode: Opcode = Opcode.BINARY) -> bytes:
    return Frame(opcode, content).serialize(mask=True)


async def test_the_socket_is_read_while_there_is_room() -> None:
    inbox, bare, controls = opened()
    ping = sent(b"", Opcode.PING)
    inbox.take(sent(b"a") * MAX_WAITING + sent(b"b") + ping)
    assert not bare.is_read
    assert controls == []
    assert [await inbox.get() for _ in range(MAX_WAITING)] == [b"a"] * MAX_WAITING
    assert await inbox.get() == b"b"
    assert bare.is_read
    assert controls == [ping]


async def test_large_messages_take_the_room_of_many() -> None:
    inbox, bare, _ = opened()
    inbox.take(sent(bytes(MAX_WAITING_BYTES)))
    assert not bare.is_read
    assert len(await inbox.get()) == MAX_WAITING_BYTES
    inbox.take(sent(b"a"))
    assert bare.is_read


async def test_a_restricted_client_is_looked_at_when_it_is_waited_for() -> None:
    inbox, bare, _ = opened()
    inbox.restrict(3)
    inbox.take(sent(b"key") + sent(bytes(LIMIT)))
    assert not bare.is_read
    assert await inbox.get() == b"key"
    inbox.trust()
    assert len(await inbox.get()) == LIMIT
    inbox.restrict(3)
    inbox.take(sent(b"long"))
    assert isinstance(await inbox.get(), MessageTooLargeError)


async def test_a_wait_that_is_cancelled_loses_nothing() -> None:
    inbox, _, _ = opened()
    waiting = asyncio.create_task(inbox.get())
    await asyncio.sleep(0)
    waiting.cancel()
    inbox.take(sent(b"a"))
    assert await inbox.get() == b"a"


async def test_a_client_that_reads_nothing_is_dropped() -> None:
    inbox, bare, _ = opened()
    bare.unread_bytes = MAX_UNREAD_BYTES + 1
    inbox.take(sent(b"", Opcode.PING))
    assert bare.is_aborted


async def test_at_the_end_messages_are_dropped_and_the_close_is_heard() -> None:
    inbox, bare, controls = opened()
    inbox.take(sent(b"a") * MAX_WAITING * 2)
    inbox.drop()
    close = sent(b"", Opcode.CLOSE)
    inbox.take(sent(bytes(1000)) * 100 + close)
    assert controls == [close]
    assert bare.is_read
