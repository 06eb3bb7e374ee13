"""`POST /v1/chat/completions` about a recording: modes `understand` (with a text) and `general` (without a text)."""

import secrets
import time
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import JSONResponse, Response

from frontend.api.authentication import principal_of
from frontend.api.middleware import renderer_of
from frontend.api.openapi import documents, refusals
from frontend.api.padding import PaddedReply
from frontend.api.recording_requests import RecordingRequests
from frontend.api.responses import Answering, Exchange, counted, events_and_progress, transcript_of, warned
from frontend.api.upload_form import bounded, media_type_of
from frontend.protocols.json_objects import decode_message
from frontend.protocols.long_text import LongMessage, TextReader
from frontend.protocols.openai.chat import ChatRequest, Chunks, completion, parse_chat
from frontend.protocols.openai.rest import frame
from frontend.sessions.model_names import resolve
from frontend.sessions.placement import PREFERRED_ENGINES
from frontend.sessions.running_models import RunningModel
from frontend.sessions.session import Session
from frontend.transcripts.recording import Transcript
from shared.errors import InvalidJsonError, MediaTypeError
from shared.events import EventType
from shared.seams import is_decided, seam
from shared.session_options import Mode


def router(chat: "Chat") -> APIRouter:
    routes = APIRouter(tags=["Chat"], dependencies=[*refusals.KEYED, Depends(documents.asked_dialect)])

    @routes.post("/v1/chat/completions", **documents.CHAT)
    async def completions() -> Response:
        """Answer a question about a recording, or follow the instructions spoken in it."""
        return Answering(chat.serve)

    return routes


class Chat(RecordingRequests):
    async def serve(self, request: Request, exchange: Exchange) -> None:
        with counted(self.tally, self.settings):
            await self._answer(request, exchange)

    async def _answer(self, request: Request, exchange: Exchange) -> None:
        asked = parse_chat(decode_message(await self._body(request), "body"))
        self.access.check_upload(principal_of(request), len(asked.audio))
        running = await self.gateway.models()
        model = resolve(asked.options.model, running, asked.options.mode)
        asked = replace(asked, options=replace(asked.options, model=model))
        self.tally.received_bytes += len(asked.audio)
        await exchange.while_connected(
            self._stream(asked, request, exchange, running) if asked.stream else self._reply(asked, request, exchange)
        )

    async def _body(self, request: Request) -> str | LongMessage:
        media_type = media_type_of(request)
        if media_type != "application/json":
            raise MediaTypeError(media_type, "application/json")
        body = TextReader()
        patience_s = self.settings.session.idle_timeout_s
        limit_bytes = self.access.largest_body_bytes(principal_of(request), self.settings.server.max_message_bytes)
        async for chunk in bounded(request, limit_bytes, patience_s):
            body.feed(chunk)
        try:
            return body.finish()
        except UnicodeDecodeError:
            raise InvalidJsonError("The body is not UTF-8.") from None

    async def _reply(self, asked: ChatRequest, request: Request, exchange: Exchange) -> None:
        renderer = renderer_of(request.scope)
        every_s = self.settings.server.keepalive_s
        async with PaddedReply.of(exchange, every_s, lambda error: self.counted_body(renderer, error)) as reply:
            async with self._session(asked, request) as session:
                reply.begin_padding()
                transcript = await transcript_of(session)
            await reply.send(warned(JSONResponse(completion(*_identity(), transcript)), transcript))

    async def _stream(
        self, asked: ChatRequest, request: Request, exchange: Exchange, running: Sequence[RunningModel]
    ) -> None:
        renderer = renderer_of(request.scope)
        async with exchange.events(lambda error: frame(self.counted_body(renderer, error))) as push:
            async with (
                self._session(asked, request) as session,
                events_and_progress(session) as events,
            ):
                chunks = Chunks(*_identity(), session.model)
                transcript = Transcript(session.model)
                answer = _Growing(transcript, grows=_grows(session.model, running))
                await push(chunks.role())
                async for event in events:
                    if isinstance(event, bytes):
                        await push(event)
                        continue
                    if added := answer.take(event.wire):
                        await push(chunks.text(added))
            transcript.warnings += session.recording_warnings
            await push(chunks.end(transcript.usage, include_usage=asked.include_usage, warned=transcript.warned))

    def _session(self, asked: ChatRequest, request: Request) -> AbstractAsyncContextManager[Session]:
        return self.recordings.file(asked.audio, asked.options, principal_of(request), strict=asked.strict)


class _Growing:
    """An answer as it grows. Partials of other engines retract words, so only their finals count."""

    def __init__(self, transcript: Transcript, *, grows: bool) -> None:
        self._transcript = transcript
        self._grows = grows
        self._shown = ""
        """Text sent for the open segment, with the space before it."""

    def take(self, event: dict[str, Any]) -> str:
        """The text that an event adds."""
        if event["type"] == EventType.PARTIAL and self._grows:
            before, partial = self._transcript.text, str(event["text"])
            if not is_decided(before, partial):
                return ""
            text = seam(before, partial) + partial
            added, self._shown = text[len(self._shown) :], text
            return added
        whole = self._transcript.take(event)
        added = whole[len(self._shown) :]
        if event["type"] == EventType.FINAL:
            self._shown = ""
        return added


def _identity() -> tuple[str, int]:
    return f"chatcmpl-{secrets.token_hex(12)}", int(time.time())


def _grows(model: str, running: Sequence[RunningModel]) -> bool:
    return any(one.name == model and one.engine in PREFERRED_ENGINES[Mode.UNDERSTAND] for one in running)
