"""Events of the Wyoming protocol as bytes, judged by the protocol's own package."""

import asyncio
import contextlib
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wyoming.asr import Transcribe
from wyoming.audio import AudioChunk
from wyoming.event import Event, read_event, write_event

from frontend.protocols.wyoming.framing import (
    MAX_DATA_BYTES,
    MAX_LINE_BYTES,
    MAX_PAYLOAD_BYTES,
    EventReader,
    event_bytes,
    parse_event,
)
from shared.errors import FrameInvalidError, InvalidFieldError, InvalidJsonError, MessageTooLargeError, VoxtralError


def written(event: Event) -> bytes:
    content = io.BytesIO()
    write_event(event, content)
    return content.getvalue()


SENT = [Transcribe(language="de").event(), AudioChunk(16_000, 2, 1, b"\n{}\n\0").event(), Event("describe")]


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_events_are_read_in_pieces_of_any_size(size: int) -> None:
    reader, read = EventReader(), []
    stream = b"".join(map(written, SENT))
    for start in range(0, len(stream), size):
        reader.feed(stream[start : start + size])
        while (message := reader.next_message()) is not None:
            read.append(parse_event(message))
    assert [(event.type, event.data, event.payload) for event in read] == [
        (event.type, event.data, event.payload or b"") for event in SENT
    ]
    assert not reader.mid_frame


def test_data_may_be_in_the_line() -> None:
    [event] = events(
        b'{"type": "transcribe", "data": {"language": "de", "name": "a"}, "data_length": 13}\n{"name": "b"}'
    )
    assert event == ("transcribe", {"language": "de", "name": "b"}, b"")


def test_written_events_are_read_by_the_package() -> None:
    event = read_event(io.BytesIO(event_bytes("transcript", {"text": "ä\n" * 40_000})))
    assert event is not None
    assert (event.type, event.data["text"][:2]) == ("transcript", "ä\n")
    assert read_event(io.BytesIO(event_bytes("transcript-stop"))) == Event("transcript-stop")


async def test_the_line_of_a_long_event_is_short() -> None:
    """Clients of asyncio read lines of at most 64 KiB."""
    reader = asyncio.StreamReader()
    reader.feed_data(event_bytes("transcript", {"text": "x" * 100_000}))
    assert len(await reader.readline()) < 100


@pytest.mark.parametrize(
    ("stream", "error"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", FrameInvalidError),
        (b"\n", FrameInvalidError),
        (b"[]\n", FrameInvalidError),
        (b"{}\n", FrameInvalidError),
        (b'{"type": 1}\n', FrameInvalidError),
        (b'{"type": "a", "data_length": -1}\n', FrameInvalidError),
        (b'{"type": "a", "payload_length": "many"}\n', FrameInvalidError),
        (b'{"type": "a", "payload_length": true}\n', FrameInvalidError),
        (b"{" * (MAX_LINE_BYTES + 1), FrameInvalidError),
        (b'{"type": "a", "data_length": %d}\n' % (MAX_DATA_BYTES + 1), MessageTooLargeError),
        (b'{"type": "a", "payload_length": %d}\n' % (MAX_PAYLOAD_BYTES + 1), MessageTooLargeError),
        (b'{"type": "a", "payload_length": 1e300}\n', VoxtralError),
        (b'{"type": "a", "data_length": 2}\n[]', InvalidJsonError),
        (b'{"type": "a", "data_length": 2}\n\xff\xfe', InvalidJsonError),
        (b'{"type": "a", "data": "text"}\n', InvalidFieldError),
    ],
)
def test_invalid_events_are_rejected(stream: bytes, error: type[VoxtralError]) -> None:
    with pytest.raises(error):
        events(stream)


@given(st.binary(max_size=200), st.sampled_from([b"", b"{", b'{"type": "audio-chunk", ', b'{"type": "a", "data": ']))
def test_any_bytes_are_read_or_rejected(stream: bytes, start: bytes) -> None:
    with contextlib.suppress(VoxtralError):
        events(start + stream + b"\n")


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_lengths_of_any_kind_are_lengths_or_rejected(value: object) -> None:
    line = json.dumps({"type": "a", "data_length": value, "payload_length": value}).encode() + b"\n"
    with contextlib.suppress(FrameInvalidError, MessageTooLargeError, InvalidJsonError):
        events(line)


def events(stream: bytes) -> list[tuple[str, dict[str, object], bytes]]:
    reader = EventReader()
    reader.feed(stream)
    found = []
    while (message := reader.next_message()) is not None:
        event = parse_event(message)
        found.append((event.type, event.data, event.payload))
    return found
