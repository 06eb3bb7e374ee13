"""What the viewers of one session get from what they share, on connections in memory."""

import asyncio
import time
from typing import Any

import orjson
import pytest

from frontend.servers.direct_writes import Wire
from frontend.viewers.broadcast import HEARTBEAT_S, MAX_OPEN_SEGMENTS, Hub
from frontend.viewers.viewer import ROOM_FOR_PARTIALS_BYTES, Viewer
from shared.bus.event_log import QUIET_S, Follower
from shared.errors import SessionExpiredError
from tests.unit.clock import clocked
from tests.unit.redis_in_memory import answered

HEARTBEAT = b":\n\n"


class Socket(asyncio.Transport):
    """Keeps what is written. `unread_bytes` is what the client has not read."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.unread_bytes = 0

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self

    def setsockopt(self, *_: int) -> None:
        """Accepts every option."""

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return self.unread_bytes

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))


class Watched:
    """A session of another process, and the hub of its viewers here. It stands for the subscriber, too."""

    def __init__(self, seq: int = 0) -> None:
        self._follower = Follower(answered(lambda *_: []), "s1", seq, time.monotonic)
        self._seq = seq
        self.unfollowed = False
        self.hub = Hub(self, "s1", seq)  # type: ignore[arg-type]

    async def follow(self, _session_id: str, _after_seq: int) -> Follower:
        return self._follower

    async def unfollow(self, _follower: Follower) -> None:
        self.unfollowed = True

    def viewer(self) -> tuple[Viewer, Socket]:
        socket = Socket()
        viewer = Viewer(Wire(socket), lambda frame: frame.raw, HEARTBEAT)
        self.hub.add(viewer)
        return viewer, socket

    async def say(self, kind: str, **fields: Any) -> bytes:
        """An event of the session, which has reached the viewers."""
        self._seq += 1
        event = orjson.dumps({"type": kind, "seq": self._seq, **fields})
        self._follower.push(event)
        while self.hub.seq < self._seq:  # noqa: ASYNC110
            await asyncio.sleep(0)
        return event


@clocked
async def test_all_viewers_get_each_event() -> None:
    watched = Watched()
    sockets = [watched.viewer()[1] for _ in range(3)]
    said = [await watched.say("partial", segment=0, text="a"), await watched.say("final", segment=0, text="A.")]
    assert [socket.written for socket in sockets] == [said] * 3


@clocked
async def test_new_viewer_gets_the_last_partial_of_each_open_segment() -> None:
    watched = Watched()
    await watched.say("partial", segment=0, text="a")
    await watched.say("final", segment=0, text="A.")
    await watched.say("partial", segment=1, text="b")
    second = await watched.say("partial", segment=1, text="b c")
    third = await watched.say("partial", segment=2, text="d")
    assert watched.viewer()[1].written == [second, third]


@clocked
async def test_partials_of_few_segments_are_kept() -> None:
    watched = Watched()
    said = [await watched.say("partial", segment=segment, text="a") for segment in range(MAX_OPEN_SEGMENTS + 2)]
    assert watched.viewer()[1].written == said[2:]


@clocked
async def test_viewer_that_does_not_keep_up_misses_partials_and_no_final() -> None:
    watched = Watched()
    viewer, socket = watched.viewer()
    socket.unread_bytes = ROOM_FOR_PARTIALS_BYTES + 1
    await watched.say("partial", segment=0, text="a")
    final = await watched.say("final", segment=0, text="A.")
    assert socket.written == [final]
    assert not viewer.over.is_set()


@pytest.mark.parametrize("kind", ["done", "error"])
def test_last_event_ends_viewers_and_reaches_later_ones(kind: str) -> None:
    @clocked
    async def ends() -> None:
        watched = Watched()
        viewer, socket = watched.viewer()
        last = await watched.say(kind)
        late, late_socket = watched.viewer()
        assert (socket.written, late_socket.written) == ([last], [last])
        assert viewer.over.is_set()
        assert late.over.is_set()
        assert watched.hub.viewers == set()

    ends()


@clocked
async def test_session_that_has_gone_ends_with_an_error_after_its_last_event() -> None:
    watched = Watched(seq=4)
    viewer, socket = watched.viewer()
    watched.hub.end(SessionExpiredError("The session was cancelled."))
    (last,) = map(orjson.loads, socket.written)
    assert (last["type"], last["code"], last["seq"]) == ("error", "session_expired", 5)
    assert viewer.over.is_set()


@clocked
async def test_last_event_is_not_replaced_by_an_error() -> None:
    watched = Watched()
    done = await watched.say("done", text="", duration=0.0)
    watched.hub.end(SessionExpiredError("The session has expired."))
    assert watched.viewer()[1].written == [done]


@clocked
async def test_silence_is_looked_up_and_filled_with_heartbeats() -> None:
    watched = Watched()
    _, socket = watched.viewer()
    final = await watched.say("final", segment=0, text="A.")
    loop = asyncio.get_running_loop()
    watched.hub.check(loop.time())
    assert not watched.hub.is_quiet()
    await asyncio.sleep(0)
    assert socket.written == [final]
    watched.hub.check(loop.time() + HEARTBEAT_S + 0.1)
    assert socket.written == [final, HEARTBEAT]
    quiet = loop.create_future()
    loop.call_later(QUIET_S + 0.1, quiet.set_result, None)
    await quiet
    assert watched.hub.is_quiet()


@clocked
async def test_hub_that_ends_follows_nothing_any_more() -> None:
    watched = Watched()
    await watched.hub.joined()
    watched.hub.task.cancel()
    await asyncio.wait([watched.hub.task])
    assert watched.unfollowed
