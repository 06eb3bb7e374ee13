"""`POST /v1/listen`: Deepgram's transcription of a recording, which is the body of the request or at a URL in it."""

import contextlib
import hashlib
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import UTC, datetime
from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO, Final, cast

import structlog
from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from frontend.access.access import Access
from frontend.access.principal import Principal
from frontend.api.authentication import principal_of
from frontend.api.deepgram_errors import DeepgramErrors
from frontend.api.openapi import deepgram as documents
from frontend.api.openapi import refusals
from frontend.api.padding import PaddedReply
from frontend.api.recording_url import MAX_BODY_BYTES, check_permitted, downloaded, url_in
from frontend.api.responses import Answering, Exchange, counted, transcript_of, warned
from frontend.api.upload_form import NO_ROOM_RETRY_S, bounded, media_type_of
from frontend.monitoring.process_report import Tally
from frontend.protocols.deepgram.parameters import Query, query_of
from frontend.protocols.deepgram.query import recording
from frontend.protocols.deepgram.rest import json_body
from frontend.protocols.kinds import Flag
from frontend.protocols.options import parse_text
from frontend.sessions.gateway import Gateway
from frontend.sessions.model_names import resolve
from frontend.sessions.recordings import Recordings
from shared.audio.damage import AudioWarning
from shared.config.settings import Settings
from shared.errors import InvalidAudioError, ServerBusyError, VoxtralError
from shared.outgoing.client import OutgoingClient
from shared.session_options import SessionOptions

IN_MEMORY_BYTES: Final = 1 << 20
"""A larger recording is stored on disk while it is decoded."""

log = structlog.get_logger(__name__)


def router(
    settings: Settings,
    gateway: Gateway,
    recordings: Recordings,
    access: Access,
    tally: Tally,
    *,
    outgoing: OutgoingClient | None,
) -> APIRouter:
    """`outgoing` downloads recordings; None: URLs are rejected."""
    routes = APIRouter(tags=["Audio"], dependencies=[*refusals.KEYED])

    async def serve(request: Request, exchange: Exchange) -> None:
        principal, patience_s = principal_of(request), settings.session.idle_timeout_s
        limit_bytes = access.largest_body_bytes(principal, settings.server.max_upload_bytes)
        query = query_of(request.query_params.multi_items())
        with counted(tally, settings), SpooledTemporaryFile(IN_MEMORY_BYTES) as file:
            options = recording(query)
            flags = {name: _flag(query, name) for name in ("utterances", "paragraphs", "detect_language")}
            about = {"request_id": request.state.request_id, "created": _now()}
            elsewhere = None
            if media_type_of(request) == "application/json":
                client = check_permitted(outgoing)
                url = url_in(b"".join([chunk async for chunk in bounded(request, MAX_BODY_BYTES, patience_s)]))
                elsewhere = downloaded(client, url, limit_bytes)
            else:
                about["sha256"] = await keep(bounded(request, limit_bytes, patience_s), file, principal)
            work = answer(file, elsewhere, options, principal, exchange, about=about, flags=flags)
            await exchange.while_connected(work)

    async def keep(
        recording: AsyncGenerator[bytes, None], file: "SpooledTemporaryFile[bytes]", principal: Principal
    ) -> str:
        digest, size_bytes = await _stored(recording, file)
        access.check_upload(principal, size_bytes)
        tally.received_bytes += size_bytes
        return digest

    async def answer(
        file: "SpooledTemporaryFile[bytes]",
        elsewhere: AsyncGenerator[bytes, None] | None,
        options: SessionOptions,
        principal: Principal,
        exchange: Exchange,
        *,
        about: dict[str, Any],
        flags: dict[str, bool],
    ) -> None:
        """`elsewhere` is the recording if `file` does not contain it yet."""
        warnings: list[AudioWarning] = []
        if elsewhere is not None:
            about["sha256"] = await keep(elsewhere, file, principal)
        models = await gateway.models()
        options = replace(options, model=resolve(options.model, models, options.mode))

        def refused(error: VoxtralError) -> dict[str, Any]:
            tally.count_error(error.code)
            return DeepgramErrors(about["request_id"]).error_body(error)

        async with PaddedReply.of(exchange, settings.server.keepalive_s, refused) as reply:
            async with recordings.file(
                cast("BinaryIO", file), options, principal, strict=False, warnings=warnings
            ) as session:
                reply.begin_padding()
                transcript = await transcript_of(session)
            transcript.warnings += [warning.wire() for warning in warnings]
            engine = next((model.engine for model in await gateway.models() if model.name == transcript.model), "")
            detects = flags.pop("detect_language")
            body = json_body(transcript, about, engine=engine, detects=detects, **flags)
            await reply.send(warned(JSONResponse(body), transcript))

    @routes.post("/v1/listen", **documents.LISTEN)
    async def listen() -> Response:
        """Transcribe a recording, which is the body of the request, in the format of Deepgram."""
        return Answering(serve)

    return routes


def _flag(query: Query, name: str) -> bool:
    values = query.get(name, ())
    if name == "detect_language" and any(value.lower() != "false" for value in values):
        return True  # it may list languages
    return bool(parse_text(name, (values[-1] or None) if values else None, Flag()))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


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
                log.error("upload_not_stored", reason=str(error))
                message = "There is no disk space for the upload."
                raise ServerBusyError(message, retry_after_s=NO_ROOM_RETRY_S) from error
    if not size_bytes:
        raise InvalidAudioError("The recording is empty.")
    file.seek(0)
    return digest.hexdigest(), size_bytes
