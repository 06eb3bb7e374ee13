"""Data frames of a WebSocket: any split and any fragments give the same messages; control frames come as they are."""

import itertools
import os
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from frontend.protocols.long_text import LongMessage, Message
from frontend.servers.websocket_frames import ControlFrame, WebSocketReader
from shared.errors import FrameInvalidError, MessageTooLargeError

LIMIT = 1_000_000


def sent(content: bytes, opcode: Opcode = Opcode.BINARY, *, fin: bool = True) -> bytes:
    """As a client sends it, by the library's own account."""
    return Frame(opcode, content, fin).serialize(mask=True)


def read(stream: bytes, cuts: list[int] | None = None) -> list[Message | ControlFrame]:
    reader = WebSocketReader(LIMIT)
    found: list[Message | ControlFrame] = []
    for start, end in itertools.pairwise([0, *sorted(cuts or []), len(stream)]):
        reader.feed(stream[start:end])
        while (item := reader.next()) is not None:
            found.append(item)
    return found


@given(
    st.lists(st.tuples(st.sampled_from([Opcode.TEXT, Opcode.BINARY]), st.text(max_size=400), st.integers(0, 9))),
    st.data(),
)
def test_any_split_and_any_fragments_give_the_same(parts: list[tuple[Opcode, str, int]], data: st.DataObject) -> None:
    stream, expected = b"", list[Message | ControlFrame]()
    ping = sent(b"?", Opcode.PING)
    for opcode, text, fragments in parts:
        content = text.encode()
        edges = [0, *sorted(data.draw(st.integers(0, len(content))) for _ in range(fragments)), len(content)]
        for number, (start, end) in enumerate(itertools.pairwise(edges)):
            kind = opcode if number == 0 else Opcode.CONT
            stream += sent(content[start:end], kind, fin=number == fragments) + ping
        expected += [ControlFrame(ping)] * fragments
        expected += [text if opcode is Opcode.TEXT else content, ControlFrame(ping)]
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=20))
    assert read(stream, cuts) == expected


def test_sizes_of_all_headers() -> None:
    contents = [os.urandom(size) for size in (0, 1, 125, 126, 65_535, 65_536, 200_000)]
    stream = b"".join(map(sent, contents))
    assert read(stream) == contents
    assert read(stream, list(range(0, len(stream), 1001))) == contents
    assert isinstance(read(sent(b" " * 100_000, Opcode.TEXT))[0], LongMessage)


@pytest.mark.parametrize(
    ("stream", "why"),
    [
        (sent(b"a", Opcode.CONT), "unexpected continuation frame"),
        (sent(b"a", fin=False) + sent(b"b"), "expected a continuation frame"),
        (sent(b"a", fin=False) + sent(b"", Opcode.CLOSE), "incomplete fragmented message"),
        (b"\xc2\x80" + bytes(4), "reserved bits must be 0"),
        (b"\x82\x01a", "incorrect masking"),
        (b"\x83\x80" + bytes(4), "invalid opcode"),
        (b"\x89\xfe\x00\x7e" + bytes(130), "control frame too long or fragmented"),
        (b"\x09\x80" + bytes(4), "control frame too long or fragmented"),
        (sent(b"\xff", Opcode.TEXT), "invalid start byte at position 0"),
    ],
    ids=[  # masks are random, and every test process must name the tests alike
        "continuation of nothing",
        "two messages in one",
        "close in a message",
        "reserved bit",
        "no mask",
        "unknown opcode",
        "long ping",
        "ping in pieces",
        "no UTF-8",
    ],
)
def test_broken_framing_is_told(stream: bytes, why: str) -> None:
    with pytest.raises(FrameInvalidError, match=f"The WebSocket framing is invalid: {why}"):
        read(stream)


def test_a_message_over_the_limit_is_refused_by_its_header() -> None:
    with pytest.raises(MessageTooLargeError, match="1000001 bytes is over"):
        read(b"\x82\xff" + struct.pack("!Q", LIMIT + 1) + bytes(4))
    with pytest.raises(MessageTooLargeError, match="1000010 bytes is over"):
        read(sent(b"a" * 10, fin=False) + b"\x80\xff" + struct.pack("!Q", LIMIT) + bytes(4))


def test_the_limit_of_now_counts_for_the_next_message() -> None:
    reader = WebSocketReader(3)
    reader.feed(sent(b"key") + sent(b"a" * 1000))
    assert reader.next() == b"key"
    reader.limit_bytes = LIMIT
    assert reader.next() == b"a" * 1000


def test_messages_may_be_read_over() -> None:
    reader = WebSocketReader(LIMIT)
    reader.feed(sent(b"a" * 1000, Opcode.TEXT)[:500])
    assert reader.next() is None
    reader.drop_messages()
    close = sent(b"", Opcode.CLOSE)
    reader.feed(sent(b"a" * 1000)[500:] + sent(b"b") + close)
    assert reader.next() == ControlFrame(close)
