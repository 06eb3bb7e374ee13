"""`POST /v1/audio/transcriptions` and `/v1/audio/translations`: returns the transcript of an uploaded file.

OpenAI's clients and Mistral's share the first address; `transcription_request` parses what each asks for.
"""

from contextlib import AbstractAsyncContextManager

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from frontend.access.principal import Principal
from frontend.api.authentication import principal_of
from frontend.api.middleware import renderer_of
from frontend.api.openapi import documents, refusals
from frontend.api.padding import PaddedReply
from frontend.api.recording_requests import RecordingRequests
from frontend.api.renderers import MISTRAL, note_missing
from frontend.api.responses import Answering, Exchange, counted, events_and_progress, transcript_of, warned
from frontend.api.transcription_request import Order, is_mistral_form, mistral_order, openai_order
from frontend.api.upload_form import Form, received
from frontend.protocols.openai.rest import Task
from frontend.sessions.model_names import resolve
from frontend.sessions.session import Session
from frontend.transcripts.awaited_labels import AwaitedLabels
from frontend.transcripts.recording import Growth, Transcript
from shared.events import EventType


def router(transcriber: "Transcriber") -> APIRouter:
    routes = APIRouter(tags=["Audio"], dependencies=[*refusals.KEYED, Depends(documents.asked_dialect)])

    @routes.post("/v1/audio/transcriptions", **documents.TRANSCRIPTIONS)
    async def transcriptions() -> Response:
        """Transcribe a recording. `dialect` selects the API if the request alone does not identify it."""
        return Answering(lambda request, exchange: transcriber.serve(request, exchange, "transcribe"))

    @routes.post("/v1/audio/translations", **documents.TRANSLATIONS)
    async def translations() -> Response:
        """Translate a recording into English."""
        return Answering(lambda request, exchange: transcriber.serve(request, exchange, "translate"))

    return routes


class Transcriber(RecordingRequests):
    async def serve(self, request: Request, exchange: Exchange, task: Task) -> None:
        principal, patience_s = principal_of(request), self.settings.session.idle_timeout_s
        limit_bytes = self.access.largest_body_bytes(principal, self.settings.server.max_upload_bytes)
        with counted(self.tally, self.settings):
            async with received(request, limit_bytes, patience_s) as form:
                order = await self._order(request, form, task)
                self.access.check_upload(principal, order.size_bytes)
                work = self._stream if order.stream else self._reply
                await exchange.while_connected(work(order, principal, exchange))

    async def _order(self, request: Request, form: Form, task: Task) -> Order:
        if is_mistral_form(form):
            request.state.dialect = MISTRAL.dialect
        if task == "transcribe" and renderer_of(request.scope) is MISTRAL:
            order = mistral_order(form)
        else:
            order = openai_order(form, task)
        return order.with_model(resolve(order.options.model, await self.gateway.models(), order.options.mode))

    async def _reply(self, order: Order, principal: Principal, exchange: Exchange) -> None:
        every_s = self.settings.server.keepalive_s if order.format.is_json else 0
        async with PaddedReply.of(exchange, every_s, lambda error: self.counted_body(order.renderer, error)) as reply:
            async with self._session(order, principal) as session:
                reply.begin_padding()
                transcript = await transcript_of(session)
            note_missing(transcript, order.format)
            await reply.send(warned(order.renderer.transcript(transcript, order.format), transcript))

    async def _stream(self, order: Order, principal: Principal, exchange: Exchange) -> None:
        async with exchange.events(
            lambda error: order.renderer.error_event(self.counted_body(order.renderer, error))
        ) as push:
            async with (
                self._session(order, principal) as session,
                events_and_progress(session) as events,
            ):
                transcript, language = Transcript(session.model), None
                awaited, told = AwaitedLabels(), Growth()
                async for event in events:
                    if isinstance(event, bytes):
                        await push(event)
                        continue
                    text = transcript.take(event.wire)
                    if event.type == EventType.FINAL:
                        spoken = transcript.segments[-1].language if text else None
                        changed = None if spoken == language else spoken
                        await push(order.renderer.added(transcript, text, changed, order.format))
                        language = spoken or language
                    for segment in awaited.take(event.wire) if order.format.diarize else ():
                        await push(order.renderer.spoken(segment, told.gap(segment), order.format))
            transcript.warnings += session.recording_warnings
            note_missing(transcript, order.format)
            await push(order.renderer.done(transcript, order.format))

    def _session(self, order: Order, principal: Principal) -> AbstractAsyncContextManager[Session]:
        self.tally.received_bytes += order.size_bytes
        return self.recordings.file(order.audio, order.options, principal, strict=order.strict)
