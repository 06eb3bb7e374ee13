"""The form of an upload: its size is limited, its file is stored on disk, and its fields are checked when they are
read.

An empty field counts as absent, because SDKs send empty fields; an unknown field is ignored. A list is sent as fields
named `x`, `x[]` or `x[0]`, each of which holds one value, several values separated by commas, or a JSON array.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO, Final, cast

import structlog
from fastapi import Request
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import FormParser, MultiPartException

from frontend.api.multipart import FILE_FIELD, MULTIPART, DamagedFormError, FilesParser
from frontend.protocols.json_objects import parsed
from frontend.protocols.keyterms import distinct
from frontend.protocols.kinds import Flag, Kind, Number
from frontend.protocols.options import (
    KEYWORDS,
    MAX_KEYTERMS,
    MAX_SPEAKERS,
    OPTIONS,
    WORDING,
    parse_json,
    parse_text,
    tracks,
)
from shared.errors import (
    ContentEncodingError,
    IdleTimeoutError,
    InvalidAudioError,
    InvalidFieldError,
    InvalidJsonError,
    MediaTypeError,
    MessageTooLargeError,
    MissingFieldError,
    ServerBusyError,
    shown,
)
from shared.session_options import KeyTerm

URLENCODED: Final = "application/x-www-form-urlencoded"
MAX_FIELDS: Final = 256
MAX_FIELD_BYTES: Final = 64 * 1024
MAX_URLENCODED_BYTES: Final = 256 * 1024
"""Such a form holds no recording, and its parser takes half a second of the event loop for each megabyte."""
MAX_FILES: Final = 4 + MAX_SPEAKERS
NO_ROOM_RETRY_S: Final = 30.0
TEMPERATURE: Final = Number(0, 1)
"""The range that OpenAI and Mistral allow for recordings."""
_LIST_NAME: Final = re.compile(r"(?P<name>[^\[\]]+)(?:\[(?P<index>[0-9]{0,6})\])?")

log = structlog.get_logger(__name__)


class Form:
    """The fields of one upload. Every method raises InvalidFieldError or MissingFieldError that names the field."""

    def __init__(self, fields: FormData, media_type: str) -> None:
        self._fields = fields
        self.media_type = media_type

    def given(self, name: str) -> bool:
        return name in self._fields

    def given_list(self, name: str) -> bool:
        """Whether the form has this list, in any notation."""
        return bool(self._list_names(name))

    def text(self, name: str) -> str | None:
        value = self._fields.get(name)
        if isinstance(value, UploadFile):
            raise InvalidFieldError(name, "a file", "text")
        return value or None

    def texts(self, name: str) -> list[str]:
        """The values of a list, in the order in which they were sent."""
        return [one for value in self._list_values(name) for one in _listed(name, value)]

    def _list_values(self, name: str) -> list[str]:
        """The fields of a list, as they were sent; empty ones are absent."""
        values: list[str] = []
        for given in self._list_names(name):
            for value in self._fields.getlist(given):
                if isinstance(value, UploadFile):
                    raise InvalidFieldError(name, "a file", "text")
                values.append(value)
        return [value for value in values if value]

    def long_texts(self, name: str, max_chars: int) -> list[str]:
        """The values of a list whose values may be long, such as audio in base64; each field has one value."""
        values = [value for given in self._list_names(name) for value in self._fields.getlist(given)]
        return [text for value in values if (text := _long_text(name, value, max_chars))]

    def _list_names(self, name: str) -> list[str]:
        """The fields that hold a list; numbered fields in the order of their numbers."""
        found = [(match, given) for given in self._fields if (match := _LIST_NAME.fullmatch(given))]
        numbered = [(int(match["index"] or 0), given) for match, given in found if match["name"] == name]
        return [given for _, given in sorted(numbered, key=lambda one: one[0])]

    def choices(self, name: str, allowed: Collection[str]) -> set[str]:
        values = self.texts(name)
        for value in values:
            if value not in allowed:
                raise InvalidFieldError(name, value, ", ".join(allowed))
        return set(values)

    def choice(self, name: str, allowed: Collection[str], default: str) -> str:
        value = self.text(name) or default
        if value not in allowed:
            raise InvalidFieldError(name, value, ", ".join(allowed))
        return value

    def flag(self, name: str) -> bool:
        return bool(parse_text(name, self.text(name), Flag()))

    def option(self, name: str, kind: Kind | None = None) -> Any:
        """A session option; `kind` if the API has another range for it."""
        return parse_text(name, self.text(name), kind or OPTIONS[name].kind)

    def languages(self) -> tuple[str, ...] | None:
        values = self.texts("languages")
        languages: tuple[str, ...] | None = OPTIONS["languages"].parse(values or None)
        return languages

    def wording(self) -> dict[str, Any]:
        """The options that say how text is written."""
        lists = {name: OPTIONS[name].parse(self.texts(name) or None) for name in ("redact", "redact_terms")}
        return {name: lists[name] if name in lists else self.option(name) for name in WORDING}

    def webhook(self) -> dict[str, Any]:
        """The options that say where events of the session are sent."""
        return {
            "webhook": self.option("webhook"),
            "webhook_events": OPTIONS["webhook_events"].parse(self.texts("webhook_events") or None),
        }

    def channels(self) -> int | None:
        """The largest number of channels to separate; None to mix them."""
        return tracks(self.option("channel_mode"), self.option("channels"))

    def keyterms(self, words: str) -> tuple[KeyTerm, ...] | None:
        """The terms to expect: `keyterms`, and the list of words that an API has for them."""
        terms: list[KeyTerm] = []
        for value in self._list_values("keyterms"):
            terms += parse_text("keyterms", value, OPTIONS["keyterms"].kind) or ()
        terms += parse_json(words, self.texts(words), KEYWORDS) or ()
        if len(found := distinct(terms)) > MAX_KEYTERMS:
            raise InvalidFieldError(f"keyterms and {words}", f"{len(found)} terms", f"at most {MAX_KEYTERMS} together")
        return found or None

    def audio(self) -> BinaryIO:
        """The uploaded file, which is deleted together with the form."""
        value = self._fields.get(FILE_FIELD)
        if value is None:
            elsewhere = [name for name, given in self._fields.items() if isinstance(given, UploadFile)]
            hint = f"; the form has a file in the field {shown(elsewhere[0])}" if elsewhere else ""
            raise MissingFieldError(f"The field file is missing; it holds the recording{hint}.", field="file")
        if not isinstance(value, UploadFile):
            raise InvalidFieldError("file", value, "a part of multipart/form-data")
        if not value.size:
            raise InvalidAudioError("The file is empty.")
        # Its class lacks `seekable` before Python 3.11 only; the decoder needs read, seek and tell.
        return cast("SpooledTemporaryFile[bytes]", value.file)  # type: ignore[return-value]


def _long_text(name: str, value: UploadFile | str, max_chars: int) -> str:
    if not isinstance(value, UploadFile):
        return value
    if (value.size or 0) > max_chars:
        raise InvalidFieldError(name, f"{value.size} characters long", f"at most {max_chars} characters")
    return value.file.read().decode(errors="replace")


def _listed(name: str, value: str) -> list[str]:
    """The values in one field of a list."""
    try:
        values = parsed(value)
    except InvalidJsonError:
        values = None
    if not isinstance(values, list):
        return [one.strip() for one in value.split(",") if one.strip()]
    if not all(isinstance(one, str) for one in values):
        raise InvalidFieldError(name, value, 'a list: repeated fields, values separated by commas, or ["a", "b"]')
    return [one for one in values if one]


def media_type_of(request: Request) -> str:
    """The media type of a request's body, without parameters; empty if the request does not name one."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


@contextlib.asynccontextmanager
async def received(request: Request, limit_bytes: int, idle_timeout_s: float) -> AsyncIterator[Form]:
    """The form of a request; its files are deleted afterwards.

    Raises MediaTypeError, MessageTooLargeError, DamagedFormError, IdleTimeoutError if the rest does
    not arrive, ServerBusyError if the disk is full, and starlette's ClientDisconnect.
    """
    media_type = media_type_of(request)
    if media_type not in (MULTIPART, URLENCODED):
        raise MediaTypeError(media_type, f"{MULTIPART}, {URLENCODED}")
    if media_type == URLENCODED:
        limit_bytes = min(limit_bytes, MAX_URLENCODED_BYTES)
    body = bounded(request, limit_bytes, idle_timeout_s)
    limits = {"max_fields": MAX_FIELDS, "max_part_size": MAX_FIELD_BYTES}
    if media_type == MULTIPART:
        parser: FormParser | FilesParser = FilesParser(request.headers, body, max_files=MAX_FILES, **limits)
    else:
        parser = FormParser(request.headers, body, **limits)
    try:
        try:
            fields = await _parsed(parser, media_type)
        finally:
            await body.aclose()
        yield Form(fields, media_type)
    finally:
        if isinstance(parser, FilesParser):
            parser.close()


async def _parsed(parser: FormParser | FilesParser, media_type: str) -> FormData:
    try:
        return await parser.parse()
    except MultiPartException as error:
        raise DamagedFormError(media_type, error.message) from None
    except OSError as error:
        raise no_room(error) from error


def no_room(error: OSError) -> ServerBusyError:
    """The error of a client whose upload cannot be stored."""
    log.error("upload_not_stored", reason=str(error))
    return ServerBusyError("There is no disk space for the upload.", retry_after_s=NO_ROOM_RETRY_S)


async def bounded(request: Request, limit_bytes: int, idle_timeout_s: float) -> AsyncGenerator[bytes, None]:
    """A request's body, chunk by chunk.

    Raises MessageTooLargeError, before it is read if its size is announced; ContentEncodingError.
    """
    encoding = request.headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity"):
        raise ContentEncodingError(encoding)
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit_bytes:
        raise MessageTooLargeError(int(announced), limit_bytes, "body")
    chunks = request.stream()
    read_bytes = 0
    while True:
        try:
            async with asyncio.timeout(idle_timeout_s):
                chunk = await anext(chunks, None)
        except TimeoutError:
            raise IdleTimeoutError(idle_timeout_s) from None
        if chunk is None:
            return
        read_bytes += len(chunk)
        if read_bytes > limit_bytes:
            raise MessageTooLargeError(None, limit_bytes, "body")
        yield chunk
