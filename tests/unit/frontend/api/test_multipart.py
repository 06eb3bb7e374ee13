"""Forms as clients really send them."""

from collections.abc import Iterable

import pytest

from frontend.api.multipart import DamagedFormError
from frontend.api.upload_form import bounded, received
from shared.errors import ContentEncodingError, MissingFieldError
from tests.unit.frontend.api.test_upload_form import request_of

HEADERS = {"content-type": "multipart/form-data; boundary=b"}
AUDIO = b"RIFF\r\n--c\r\n1234"


def part(disposition: str, content: bytes = AUDIO) -> bytes:
    return f"--b\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode() + content + b"\r\n"


async def audio_of(chunks: Iterable[bytes]) -> bytes:
    async with received(request_of(chunks, HEADERS), 10_000, 5) as form:
        return form.audio().read()


@pytest.mark.parametrize(
    "disposition",
    [
        'name="file"; filename="a.wav"',
        'name="file"; filename=""',
        'name="file"',
        "name=file",
        "name=\"file\"; filename*=UTF-8''t%C3%A9l.wav",
        "filename*=UTF-8''a.wav; name=\"file\"",
    ],
)
async def test_recording_needs_no_file_name(disposition: str) -> None:
    assert await audio_of([part(disposition), b"--b--\r\n"]) == AUDIO


@pytest.mark.parametrize("preamble", [b"", b"\r\n", b"A form.\r\n", b"-\r\n--\r\n--c\r\n", b"x" * 3000 + b"\r\n"])
async def test_what_stands_before_the_first_boundary_is_ignored(preamble: bytes) -> None:
    body = preamble + part('name="file"') + b"--b--\r\nAn epilogue."
    assert await audio_of([body]) == AUDIO
    assert await audio_of([body[at : at + 1] for at in range(len(body))]) == AUDIO


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (part('name="file"')[:-2], r"it ends without its last boundary \(--b--\); the upload was cut"),
        (part('name="file"') + b"--b-", "ends without its last boundary"),
        (b"RIFF", "it has no boundary --b"),
        (b"", "it has no boundary --b"),
        (b"--b\nContent-Disposition: form-data\n\n", "Did not find CR"),
        (part('filename="a.wav"') + b"--b--", '"name" must be provided'),
    ],
)
async def test_damage_is_named(body: bytes, reason: str) -> None:
    with pytest.raises(DamagedFormError, match=reason) as damaged:
        await audio_of([body])
    assert damaged.value.field == "body"


async def test_missing_boundary_is_named() -> None:
    with pytest.raises(DamagedFormError, match="Content-Type names no boundary"):
        async with received(request_of([b"--b"], {"content-type": "multipart/form-data"}), 100, 5):
            pass


async def test_file_under_another_name_is_pointed_at() -> None:
    with pytest.raises(MissingFieldError, match="the form has a file in the field 'audio'"):
        await audio_of([part('name="audio"; filename="a.wav"'), b"--b--\r\n"])


@pytest.mark.parametrize("encoding", ["gzip", "Deflate", "br", "zstd", "gzip, identity"])
async def test_compressed_body_is_refused(encoding: str) -> None:
    with pytest.raises(ContentEncodingError, match=r"Content-Encoding is .*; send it uncompressed"):
        await anext(bounded(request_of([b"x"], {"content-encoding": encoding}), 100, 5))
    assert await anext(bounded(request_of([b"x"], {"content-encoding": "identity"}), 100, 5)) == b"x"


@pytest.mark.parametrize("charset", ["punycode", "undefined", "utf-16", "latin-1", "none"])
async def test_texts_are_utf_8_whatever_charset_is_named(charset: str) -> None:
    headers = {"content-type": f"{HEADERS['content-type']}; charset={charset}"}
    body = part('name="prompt"', "é-".encode()) + part('name="file"') + b"--b--\r\n"
    async with received(request_of([body], headers), 10_000, 5) as form:
        assert form.text("prompt") == "é-"
        assert form.audio().read() == AUDIO
