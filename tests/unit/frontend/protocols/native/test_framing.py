"""TCP framing: any split of the bytes gives the same messages, and only our errors."""

import itertools
import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontend.protocols.long_text import Message
from frontend.protocols.native.framing import FrameReader, frame
from shared.errors import FrameInvalidError, MessageTooLargeError

LIMIT = 1000

TEXTS = st.from_regex(r'\{"[a-zäß€😀 ,:"]{0,40}\}', fullmatch=True).map(str.encode)
BINARIES = st.binary(min_size=1, max_size=LIMIT).filter(lambda content: content[0] != ord("{"))


def messages_in(reader: FrameReader) -> list[Message]:
    found = []
    while (message := reader.next_message()) is not None:
        found.append(message)
    return found


def read(stream: bytes, cuts: list[int] | None = None) -> list[Message]:
    reader = FrameReader(LIMIT)
    edges = [0, *sorted(cuts or []), len(stream)]
    found = []
    for start, end in itertools.pairwise(edges):
        reader.feed(stream[start:end])
        found += messages_in(reader)
    return found


@given(st.lists(TEXTS | BINARIES, max_size=8), st.data())
def test_any_split_gives_the_same_messages(contents: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(map(frame, contents))
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=20))
    expected = [content.decode() if content[0] == ord("{") else content for content in contents]
    assert read(stream, cuts) == expected
    assert read(stream, list(range(len(stream)))) == expected  # byte by byte


@given(st.binary(max_size=300), st.integers(1, 50))
def test_garbage_raises_only_our_errors_and_is_not_kept(garbage: bytes, step: int) -> None:
    reader = FrameReader(LIMIT)
    try:
        for start in range(0, len(garbage), step):
            reader.feed(garbage[start : start + step])
            messages_in(reader)
    except (FrameInvalidError, MessageTooLargeError):
        pass
    assert len(reader._pending) <= 4 + step


def test_a_frame_as_large_as_the_limit_passes() -> None:
    assert read(frame(b"a" * LIMIT)) == [b"a" * LIMIT]


def test_a_header_over_the_limit_is_refused_before_its_content_comes() -> None:
    reader = FrameReader(LIMIT)
    reader.feed(struct.pack("!I", LIMIT + 1)[:3])
    assert reader.next_message() is None
    reader.feed(struct.pack("!I", LIMIT + 1)[3:])
    with pytest.raises(MessageTooLargeError, match="1001 bytes is over the limit of 1000 bytes"):
        reader.next_message()


def test_the_limit_of_now_counts_for_the_next_message() -> None:
    reader = FrameReader(3)
    reader.feed(frame(b"key") + frame(b"a" * LIMIT))
    assert reader.next_message() == b"key"
    reader.limit_bytes = LIMIT
    assert reader.next_message() == b"a" * LIMIT


def test_a_frame_of_length_zero_is_refused() -> None:
    reader = FrameReader(LIMIT)
    reader.feed(bytes(4))
    with pytest.raises(FrameInvalidError, match="length 0"):
        reader.next_message()


def test_frames_before_a_broken_one_are_kept() -> None:
    reader = FrameReader(LIMIT)
    reader.feed(frame(b"one") + frame(b"{}") + bytes(4))
    assert [reader.next_message(), reader.next_message()] == [b"one", "{}"]
    with pytest.raises(FrameInvalidError):
        reader.next_message()


def test_it_knows_whether_a_frame_has_begun() -> None:
    reader = FrameReader(LIMIT)
    assert not reader.mid_frame
    reader.feed(frame(b"audio")[:2])
    assert reader.mid_frame
    reader.feed(frame(b"audio")[2:])
    assert reader.next_message() == b"audio"
    assert not reader.mid_frame


@pytest.mark.parametrize("content", [b"{\xff\x00\x01", b"{\x00", b"{\xc3", b"{\x1f{\x02"])
def test_audio_that_begins_with_a_brace_is_audio(content: bytes) -> None:
    assert read(frame(content)) == [content]


@pytest.mark.parametrize("content", ["{", "{}", '{"a": "ä€😀"}', "{\n\t\r\n}", "{broken", "{'type': 'audio'}"])
def test_a_frame_that_can_be_text_is_text(content: str) -> None:
    assert read(frame(content.encode())) == [content]


def test_chunks_of_quiet_audio_are_never_taken_for_text() -> None:
    """20 ms of s16le below 3 % of full scale, each made to begin with the byte of `{`."""
    generator = random.Random(1)
    for _ in range(2000):
        samples = [0x7B, *(generator.randrange(-1000, 1000) for _ in range(319))]
        content = struct.pack("<320h", *samples)
        assert read(frame(content)) == [content]
