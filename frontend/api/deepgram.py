"""`POST /v1/listen`: Deepgram's transcription of a recording, which is the body of the request or at a URL in it."""

import contextlib
import hashlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, Final, cast

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from frontend.access.principal import Principal
from frontend.api.authentication import principal_of
from frontend.api.deepgram_errors import DeepgramErrors
from frontend.api.openapi import deepgram as documents
from frontend.api.openapi import refusals
from frontend.api.padding import PaddedReply
from frontend.api.recording_requests import RecordingRequests
from frontend.api.recording_url import MAX_BODY_BYTES, check_permitted, downloaded, url_in
from frontend.api.responses import Answering, Exchange, counted, transcript_of, warned
from frontend.api.upload_form import bounded, media_type_of, no_room
from frontend.protocols.deepgram.parameters import flag, query_of
from frontend.protocols.deepgram.query import recording
from frontend.protocols.deepgram.rest import json_body
from frontend.protocols.deepgram.results import timestamp
from frontend.sessions.model_names import resolve
from shared.errors import InvalidAudioError
from shared.outgoing.client import OutgoingClient
from shared.session_options import SessionOptions

IN_MEMORY_BYTES: Final = 1 << 20
"""A larger recording is stored on disk while it is decoded."""


def router(requests: "ListenRequests") -> APIRouter:
    routes = APIRouter(tags=["Audio"], dependencies=[*refusals.KEYED])

    @routes.post("/v1/listen", **documents.LISTEN)
    async def listen() -> Response:
        """Transcribe a recording, which is the body of the request, in the format of Deepgram."""
        return Answering(requests.serve)

    return routes


@dataclass(slots=True)
class Asked:
    """A request: its options, and what its answer contains besides the transcript."""

    options: SessionOptions
    flags: dict[str, bool]
    """The parameters `utterances` and `paragraphs`."""
    detects: bool
    """Whether the client wants to know the language."""
    about: dict[str, str]
    """The metadata of the answer, as far as it is known."""


@dataclass(frozen=True)
class ListenRequests(RecordingRequests):
    """The requests of Deepgram's clients."""

    outgoing: OutgoingClient | None
    """Downloads recordings; None: URLs are rejected."""

    async def serve(self, request: Request, exchange: Exchange) -> None:
        principal = principal_of(request)
        with counted(self.tally, self.settings), SpooledTemporaryFile(IN_MEMORY_BYTES) as file:
            asked = _asked(request)
            elsewhere = None
            if media_type_of(request) == "application/json":
                elsewhere = await self._elsewhere(request, principal)
            else:
                body = bounded(request, self._limit_bytes(principal), self.settings.session.idle_timeout_s)
                asked.about["sha256"] = await self._keep(body, file, principal)
            await exchange.while_connected(self._answer(asked, file, elsewhere, principal, exchange))

    async def _elsewhere(self, request: Request, principal: Principal) -> AsyncGenerator[bytes, None]:
        """The recording at the URL in the body."""
        client = check_permitted(self.outgoing)
        body = bounded(request, MAX_BODY_BYTES, self.settings.session.idle_timeout_s)
        return downloaded(client, url_in(b"".join([chunk async for chunk in body])), self._limit_bytes(principal))

    def _limit_bytes(self, principal: Principal) -> int:
        return self.access.largest_body_bytes(principal, self.settings.server.max_upload_bytes)

    async def _keep(
        self, recording: AsyncGenerator[bytes, None], file: "SpooledTemporaryFile[bytes]", principal: Principal
    ) -> str:
        digest, size_bytes = await _stored(recording, file)
        self.access.check_upload(principal, size_bytes)
        self.tally.received_bytes += size_bytes
        return digest

    async def _answer(
        self,
        asked: Asked,
        file: "SpooledTemporaryFile[bytes]",
        elsewhere: AsyncGenerator[bytes, None] | None,
        principal: Principal,
        exchange: Exchange,
    ) -> None:
        """`elsewhere` is the recording if `file` does not contain it yet."""
        if elsewhere is not None:
            asked.about["sha256"] = await self._keep(elsewhere, file, principal)
        models = await self.gateway.models()
        options = replace(asked.options, model=resolve(asked.options.model, models, asked.options.mode))
        errors, every_s = DeepgramErrors(asked.about["request_id"]), self.settings.server.keepalive_s
        async with PaddedReply.of(exchange, every_s, lambda error: self.counted_body(errors, error)) as reply:
            async with self.recordings.file(cast("BinaryIO", file), options, principal, strict=False) as session:
                reply.begin_padding()
                transcript = await transcript_of(session)
            body = json_body(transcript, asked.about, detects=asked.detects, **asked.flags)
            await reply.send(warned(JSONResponse(body), transcript))


def _asked(request: Request) -> Asked:
    query = query_of(request.query_params.multi_items())
    return Asked(
        recording(query),
        flags={name: flag(query, name) for name in ("utterances", "paragraphs")},
        detects=any(value.lower() != "false" for value in query.get("detect_language", ())),  # it may list languages
        about={"request_id": request.state.request_id, "created": timestamp()},
    )


async def _stored(body: AsyncGenerator[bytes, None], file: "SpooledTemporaryFile[bytes]") -> tuple[str, int]:
    """The SHA-256 and the size of a recording, which is stored in `file`. Raises what `body` raises, InvalidAudioError
    for an empty one, and ServerBusyError if the disk is full."""
    digest, size_bytes = hashlib.sha256(), 0
    async with contextlib.aclosing(body):
        async for chunk in body:
            digest.update(chunk)
            size_bytes += len(chunk)
            try:
                file.write(chunk)
            except OSError as error:
                raise no_room(error) from error
    if not size_bytes:
        raise InvalidAudioError("The recording is empty.")
    file.seek(0)
    return digest.hexdigest(), size_bytes
