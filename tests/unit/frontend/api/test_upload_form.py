"""How the body of an upload is read: within bounds of size and time."""

import asyncio
import contextlib
from collections.abc import Iterable
from tempfile import SpooledTemporaryFile
from typing import Any
from urllib.parse import quote

import pytest
from fastapi import Request
from starlette import formparsers
from starlette.requests import ClientDisconnect
from starlette.types import Message

from frontend.api.multipart import DamagedFormError
from frontend.api.upload_form import MAX_URLENCODED_BYTES, bounded, received
from shared.errors import IdleTimeoutError, InvalidFieldError, MessageTooLargeError
from shared.session_options import KeyTerm

FORM = {"content-type": "application/x-www-form-urlencoded"}


def request_of(chunks: Iterable[bytes], headers: dict[str, str], *, ends: bool = True, leaves: bool = False) -> Request:
    coming = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    if leaves:
        coming.append({"type": "http.disconnect"})
    elif ends:
        coming.append({"type": "http.request", "body": b"", "more_body": False})
    messages = iter(coming)

    async def receive() -> Message:
        for message in messages:
            return message
        await asyncio.Event().wait()
        raise AssertionError

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope: dict[str, Any] = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": raw}
    return Request(scope, receive)


async def read(request: Request, limit_bytes: int = 100, patience_s: float = 5) -> bytes:
    return b"".join([chunk async for chunk in bounded(request, limit_bytes, patience_s)])


async def test_body_up_to_the_limit_is_read() -> None:
    assert await read(request_of([b"x" * 60, b"y" * 40], {})) == b"x" * 60 + b"y" * 40


async def test_body_over_the_limit_is_refused_wherever_it_gets_known() -> None:
    with pytest.raises(MessageTooLargeError, match="The body of 101 bytes"):
        await read(request_of([], {"content-length": "101"}))
    with pytest.raises(MessageTooLargeError, match="The body is over the limit of 100 bytes"):
        await read(request_of([b"x" * 60, b"y" * 41], {}))


async def test_body_that_stops_coming_is_refused() -> None:
    with pytest.raises(IdleTimeoutError):
        await read(request_of([b"x"], {}, ends=False), patience_s=0.01)


async def test_client_that_leaves_is_noticed() -> None:
    with pytest.raises(ClientDisconnect):
        await read(request_of([b"x"], {}, leaves=True))


@pytest.mark.parametrize(
    "body",
    [
        "languages=de&languages=en",
        "languages[]=de&languages[]=en",
        "languages[1]=en&languages[0]=de",
        "languages=de&languages[]=en&languages=",
        'languages=["de", "en"]',
        'languages[]=["de"]&languages[]=en',
        "languages=de, en",
        "languages[]=de,en,",
    ],
)
async def test_lists_come_in_every_usual_form(body: str) -> None:
    async with received(request_of([quote(body, safe="&=").encode()], FORM), 1000, 5) as form:
        assert form.texts("languages") == ["de", "en"]
        assert form.languages() == ("de", "en")


async def test_list_that_is_none_is_refused() -> None:
    for value in ("[1]", "[{}]", '["a", null]'):
        async with received(request_of([f"keywords={quote(value)}".encode()], FORM), 1000, 5) as form:
            with pytest.raises(InvalidFieldError, match="repeated fields, values separated by commas, or"):
                form.keyterms("keywords")


async def test_term_in_brackets_is_no_list() -> None:
    async with received(request_of([b"keywords=[laughs], 5, Ann"], FORM), 1000, 5) as form:
        assert form.texts("keywords") == ["[laughs]", "5", "Ann"]


async def test_names_to_expect_are_key_terms_and_no_prompt() -> None:
    body = (
        b"keywords=a&keywords%5B%5D=b&keywords=&prompt=c, d&keyterms=" + quote('[{"term":"e","boost":3},"b"]').encode()
    )
    async with received(request_of([body], FORM), 1000, 5) as form:
        assert form.option("prompt") == "c, d"
        assert form.keyterms("keywords") == (KeyTerm("e", 3), KeyTerm("b"), KeyTerm("a"))


async def test_languages_are_checked_like_the_language() -> None:
    body = b"languages=EN&languages%5B%5D=german&languages=en-US"
    async with received(request_of([body], FORM), 1000, 5) as form:
        assert form.languages() == ("en", "de")
    async with received(request_of([b"prompt=x&languages="], FORM), 1000, 5) as form:
        assert form.languages() is None
    async with received(request_of([b"languages=klingon"], FORM), 1000, 5) as form:
        with pytest.raises(InvalidFieldError, match="languages is 'klingon'; allowed: a list of 1 to 20 languages"):
            form.languages()


async def test_form_of_too_many_fields_is_refused() -> None:
    with pytest.raises(DamagedFormError, match="Too many fields"):
        async with received(request_of([b"a=1&" * 300], FORM), 10_000, 5):
            pass


async def test_form_without_files_is_much_smaller_than_a_recording() -> None:
    with pytest.raises(MessageTooLargeError, match=f"over the limit of {MAX_URLENCODED_BYTES} bytes"):
        async with received(request_of([b"&" * MAX_URLENCODED_BYTES, b"&"], FORM), 1 << 29, 5):
            pass


@pytest.mark.parametrize("cut_bytes", [1, 6, 40])
@pytest.mark.parametrize("leaves", [True, False])
async def test_form_that_breaks_off_leaves_no_file_open(
    monkeypatch: pytest.MonkeyPatch, cut_bytes: int, leaves: bool
) -> None:
    opened: list[SpooledTemporaryFile[bytes]] = []

    class Known(SpooledTemporaryFile[bytes]):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            opened.append(self)

    monkeypatch.setattr(formparsers, "SpooledTemporaryFile", Known)
    body = (
        b'--b\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + bytes(60) + b"\r\n--b--\r\n"
    )
    request = request_of([body[:-cut_bytes]], {"content-type": "multipart/form-data; boundary=b"}, leaves=leaves)
    with contextlib.suppress(DamagedFormError, ClientDisconnect):
        async with received(request, 1000, 5):
            pass
    assert [file.closed for file in opened] == [True]
