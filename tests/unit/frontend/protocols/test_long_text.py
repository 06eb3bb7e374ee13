"""Long messages are what they would be if they were short, however they come, and hold no text of their audio."""

import base64
import json
import random
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frontend.protocols.base64_audio import decode_audio
from frontend.protocols.fields import Fields
from frontend.protocols.json_objects import decode_message
from frontend.protocols.long_text import LONG_STRING_BYTES, MAX_DOCUMENT_BYTES, LongMessage, LongText, TextReader
from frontend.protocols.native.framing import FrameReader, frame
from frontend.protocols.openai.chat import parse_chat
from shared.errors import InvalidAudioError, InvalidFieldError, InvalidJsonError, VoxtralError

AUDIO = random.Random(3).randbytes(200_001)
ENCODED = base64.b64encode(AUDIO).decode()


def read(text: str, step: int = 65_536) -> str | LongMessage:
    reader, content = TextReader(), text.encode()
    for start in range(0, len(content), step):
        reader.feed(content[start : start + step])
    return reader.finish()


def message(audio: str = ENCODED, **fields: Any) -> str:
    return json.dumps({"type": "audio", "prompt": 'with "quotes", \\ and ü', "audio_data": audio, "id": 7} | fields)


@pytest.mark.parametrize("step", [1, 7, 4099, 65_536, 1_000_000])
def test_audio_is_decoded_on_the_way_however_it_comes(step: int) -> None:
    decoded = decode_message(read(message(), step))
    assert Fields(decoded).audio() == AUDIO
    assert (decoded["prompt"], decoded["id"]) == ('with "quotes", \\ and ü', 7)


def test_short_messages_stay_as_they_are() -> None:
    assert read("{}") == "{}"
    text = message("A" * 60_000)
    assert read(text) == text


@pytest.mark.parametrize(
    "written",
    [ENCODED.replace("/", "\\/"), "\\n".join(ENCODED[at : at + 76] for at in range(0, len(ENCODED), 76))],
    ids=["escaped slashes", "lines"],
)
@pytest.mark.parametrize("step", [1, 1000, 65_536])
def test_escapes_that_base64_may_need(written: str, step: int) -> None:
    assert Fields(decode_message(read('{"audio_data": "' + written + '"}', step))).audio() == AUDIO


@given(st.lists(st.sampled_from(["\\", '"', "/", "é", "\n", "abc", "x" * 1000]), max_size=40), st.integers(1, 3000))
@settings(max_examples=50, deadline=None)
def test_strings_with_escapes_are_the_same_in_any_pieces(parts: list[str], step: int) -> None:
    prompt = "".join(parts)
    decoded = decode_message(read(message(prompt=prompt, other=[prompt]), step))
    assert (decoded["prompt"], decoded["other"], Fields(decoded).audio()) == (prompt, [prompt], AUDIO)


class Searched(bytes):
    """Counts the bytes that searches look at."""

    seen_bytes = 0

    def find(self, sought: bytes, start: int = 0, end: int | None = None) -> int:
        end = len(self) if end is None else end
        found = super().find(sought, start, end)
        self.seen_bytes += (end if found < 0 else found) - start
        return found


@pytest.mark.parametrize("written", ["\\n" * 50_000, "\\" * 100_000, "A" * 100_000, '"a":"\\n",' * 10_000])
def test_each_byte_of_a_piece_is_looked_at_a_few_times(written: str) -> None:
    reader = TextReader()
    reader.feed(b'{"audio_data": "' + b"A" * 100_000)
    piece = Searched(written.encode())
    reader.feed(piece)
    assert piece.seen_bytes < 4 * len(piece)


def test_data_url_is_taken_as_base64() -> None:
    url = "data:audio/wav;base64," + ENCODED
    assert Fields(decode_message(read(message(url)))).audio() == AUDIO


@pytest.mark.parametrize(
    "audio",
    [
        ENCODED + "A",
        ENCODED[:-4] + "ab==" + "AAAA",
        "?" + ENCODED[1:],
        ENCODED[:150_000] + " " + ENCODED[150_000:],
        ENCODED[:150_000] + "\u00e4" + ENCODED[150_000:],
        ENCODED[:150_000] + "\t",
        "data:audio/wav," + ENCODED,
    ],
)
def test_what_is_not_base64_is_refused_as_that(audio: str) -> None:
    with pytest.raises(InvalidAudioError, match="audio_data is not base64"):
        Fields(decode_message(read(message(audio)))).audio()


def test_a_long_string_in_another_field_is_shown_cut() -> None:
    decoded = decode_message(read(message(prompt="é" * 200_000)))
    with pytest.raises(InvalidFieldError, match=r"prompt is '\\u00e9.*; allowed: a string of at most 8000") as raised:
        Fields(decoded).option("prompt")
    assert len(str(raised.value)) < 200


def test_client_that_knows_a_mark_can_do_nothing_with_it() -> None:
    first = read(message())
    assert isinstance(first, LongMessage)
    mark = json.loads(first.document())["audio_data"]
    for prompt in (mark, mark[:-1], f"{mark}7", f"{mark}x"):
        assert decode_message(read(message(prompt=prompt)))["prompt"] == prompt


@pytest.mark.parametrize("field", [{ENCODED: 1}, {"session": [{ENCODED: ENCODED}]}])
def test_long_name_of_a_field_is_rejected(field: dict[str, Any]) -> None:
    with pytest.raises(InvalidJsonError, match="The name of a field has more than 131072 bytes"):
        decode_message(read(message(**field)))


@pytest.mark.parametrize(
    "text",
    [
        message()[:-1],
        message()[:250_000],
        message() + "}",
        '{"a": ' + "1" * 600_000 + "}",
        "[" * 70_000,
        '{"a": "' + "A" * 300_000 + "\\",
        " " * (MAX_DOCUMENT_BYTES + 1) + "{}",
        '{"a": ' + "[" * 900 + '"' + ENCODED + '"' + "]" * 901,
    ],
    ids=lambda text: text[:20],
)
def test_garbage_raises_only_our_errors(text: str) -> None:
    with pytest.raises(VoxtralError):
        Fields(decode_message(read(text))).audio()


def test_no_utf8_is_no_json() -> None:
    reader = TextReader()
    reader.feed(b'{"audio": "' + b"A" * LONG_STRING_BYTES + b'", "prompt": "\xff"}')
    long = reader.finish()
    assert isinstance(long, LongMessage)
    with pytest.raises(InvalidJsonError, match="UTF-8"):
        decode_message(long)


def test_recordings_of_chats_are_found_where_they_are() -> None:
    for part in (
        {"type": "input_audio", "input_audio": {"data": ENCODED, "format": "wav"}},
        {"type": "input_audio", "input_audio": ENCODED},
        {"type": "audio_url", "audio_url": {"url": "data:audio/wav;base64," + ENCODED}},
        {"type": "audio_url", "audio_url": "DATA:audio/wav;base64," + ENCODED},
    ):
        asked = {"messages": [{"role": "user", "content": [part, {"type": "text", "text": "Who?"}]}]}
        assert parse_chat(decode_message(read(json.dumps(asked)))).audio == AUDIO
    for url in ("http://" + ENCODED, "data:audio/wav," + ENCODED, ENCODED):
        content = [{"type": "audio_url", "audio_url": {"url": url}}]
        asked = {"messages": [{"role": "user", "content": content}]}
        with pytest.raises(InvalidFieldError, match="data:"):
            parse_chat(decode_message(read(json.dumps(asked))))


def test_long_frames_of_tcp_are_text_or_audio() -> None:
    reader = FrameReader(1_000_000)
    quiet = b"{" + bytes(200_000)
    looks_like_text = b"{" + b"a" * 200_000
    reader.feed(frame(message().encode()) + frame(quiet) + frame(looks_like_text) + frame(b"b" * 200_000))
    assert isinstance(reader.next_message(), LongMessage)
    assert [reader.next_message() for _ in range(3)] == [quiet, looks_like_text, b"b" * 200_000]


def test_a_request_takes_less_memory_than_its_message() -> None:
    content = message(base64.b64encode(bytes(12 << 20)).decode()).encode()
    tracemalloc.start()
    try:
        reader = TextReader()
        for start in range(0, len(content), 65_536):
            reader.feed(content[start : start + 65_536])
        audio = Fields(decode_message(reader.finish())).audio()
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(audio) == 12 << 20
    assert peak_bytes < 1.1 * len(content)


def test_the_text_of_a_long_string_is_told_by_its_size() -> None:
    value = LongText("AAAA", 300_000, b"", "")
    assert repr(value) == "'AAAA…' (300000 bytes)"
    assert decode_audio(value, "audio") == b""
