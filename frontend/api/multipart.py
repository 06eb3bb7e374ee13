"""The body of a multipart/form-data request as clients send it: RFC 2046, 7578 and common deviations from them.

A part is a file if it has a file name (`filename` or `filename*`), is called `file`, or may hold the audio of known
speakers, which is too long for a text. Data before the first boundary is ignored. Texts are UTF-8: RFC 7578 defines no
`charset`, and some codecs need seconds for a long text. Raises `DamagedFormError` for an incomplete or malformed body.

This is the one module that uses the internals of starlette's parser. On its own the parser tells a file from a text by
`filename` alone, accepts a form that was cut short, and decodes texts with the codec that the client names; a parser of
our own would repeat all the rest of it.
`tests/unit/frontend/api/test_starlette_internals.py` fails when starlette changes what this relies on.
"""

import re
from collections.abc import AsyncGenerator
from typing import Any, Final

from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, Headers
from starlette.formparsers import MultiPartException, MultiPartParser

from shared.errors import InvalidFieldError, VoxtralError

MULTIPART: Final = "multipart/form-data"
FILE_FIELD: Final = "file"
_FILES: Final = re.compile(rb"file|speaker_references|known_speaker_references(\[[0-9]*\])?")
_FILENAME: Final = re.compile(rb";\s*filename\*?\s*=", re.IGNORECASE)


class DamagedFormError(VoxtralError):
    """The body of a request is not a complete form."""

    code = InvalidFieldError.code
    field = "body"

    def __init__(self, media_type: str, reason: str) -> None:
        super().__init__(f"The {media_type} body is damaged: {reason.rstrip('.')}.")


class FilesParser(MultiPartParser):
    """Keeps every file that it has opened: an incomplete form has no field for its last file."""

    def __init__(self, headers: Headers, stream: AsyncGenerator[bytes, None], **limits: Any) -> None:
        self._boundary = _boundary_of(headers)
        super().__init__(headers, _from_first_boundary(stream, self._boundary), **limits)
        self._has_ended = False

    async def parse(self) -> FormData:
        """The fields. Raises DamagedFormError."""
        try:
            form = await super().parse()
        except MultiPartException as error:
            reason = error.message if error.__cause__ is None else str(error.__cause__)
            raise DamagedFormError(MULTIPART, reason) from None
        if not self._has_ended:
            last = f"--{self._boundary}--"
            raise DamagedFormError(MULTIPART, f"it ends without its last boundary ({last[:100]}); the upload was cut")
        return form

    def on_headers_finished(self) -> None:
        self._charset = "utf-8"
        part = self._current_part
        if part.content_disposition is not None and self._is_file():
            part.content_disposition += b'; filename=""'
        super().on_headers_finished()

    def on_end(self) -> None:
        self._has_ended = True

    def close(self) -> None:
        for file in self._files_to_close_on_error:
            file.close()

    def _is_file(self) -> bool:
        """Whether the current part is a file without a plain file name."""
        part = self._current_part
        _, options = parse_options_header(part.content_disposition)
        if b"filename" in options:
            return False
        named = _FILENAME.search(part.content_disposition or b"") is not None
        return named or _FILES.fullmatch(options.get(b"name", b"")) is not None


def _boundary_of(headers: Headers) -> str:
    _, options = parse_options_header(headers["content-type"])
    boundary = options.get(b"boundary", b"").decode("latin-1")
    if not boundary:
        raise DamagedFormError(
            MULTIPART,
            "its Content-Type names no boundary; let the library that creates the form set this header",
        )
    return boundary


async def _from_first_boundary(body: AsyncGenerator[bytes, None], boundary: str) -> AsyncGenerator[bytes, None]:
    """The body without the data before its first boundary, which is at the start of a line."""
    mark = f"\n--{boundary}".encode("latin-1")
    kept = b"\n"
    async for chunk in body:
        kept += chunk
        at = kept.find(mark)
        if at >= 0:
            yield kept[at + 1 :]
            break
        kept = kept[1 - len(mark) :]
    else:
        raise DamagedFormError(MULTIPART, f"it has no boundary --{boundary[:100]}")
    async for chunk in body:
        yield chunk
