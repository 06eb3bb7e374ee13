"""Live captions over HTTP: the events of a session and its transcript, for clients with its viewer token.

A viewer token is part of every request and never a cookie. So a page of another site cannot use the token of a browser
that has one, and origins need no check.
"""

import asyncio
from typing import Annotated, Final

from fastapi import APIRouter, Header, Path, Query, Request, Response, WebSocket

from frontend.api.captions_socket import serve_viewer
from frontend.api.openapi import refusals
from frontend.api.openapi.schemas import (
    CHANNEL,
    CONFIDENCE,
    FLAG,
    INTEGER,
    NULLABLE_TEXT,
    NUMBER,
    SPEAKER,
    TEXT,
    Schema,
    events_of,
    list_of,
    object_of,
)
from frontend.api.viewer_fields import last_seq_in, viewer_token_in
from frontend.transcripts.document import MEDIA_TYPES, Form, SessionTranscript
from frontend.viewers.sse import MEDIA_TYPE, EventStream
from frontend.viewers.viewers import Viewers

_LAST: Final = "The `seq` of the last event that the client has; browsers send it when they reconnect."
_REFUSALS: Final = refusals.refusals(
    {
        400: "The id of the last event is not a number, or the format is unknown.",
        401: "The request has no viewer token.",
        404: "No session has this id and viewer token, or it was cancelled, or it ended too long ago.",
        503: "The limit of viewers is reached, or Redis is not available.",
    },
    {400, 401, 404, 503},
)
_EVENTS_DOC: Final[dict[int | str, Schema]] = {
    200: {"description": "Events until the session ends.", "content": {MEDIA_TYPE: events_of("A session's event.")}},
    204: {"description": "The session has ended and has no later event: do not reconnect."},
    **_REFUSALS,
}

_WORD_FIELDS: Final[Schema] = {"text": TEXT, "start": NUMBER, "end": NUMBER}
_WORD: Final = object_of({**_WORD_FIELDS, "confidence": CONFIDENCE, **SPEAKER}, *_WORD_FIELDS, name="SessionWord")
_SEGMENT_FIELDS: Final[Schema] = {
    "segment": INTEGER,
    "start": NUMBER,
    "end": NUMBER,
    "text": TEXT,
    "language": NULLABLE_TEXT,
    "words": list_of(_WORD),
}
_MORE_FIELDS: Final[Schema] = {
    "channel": CHANNEL,
    **SPEAKER,
    "confidence": CONFIDENCE,
    "avg_logprob": NUMBER,
    "no_speech_prob": NUMBER,
    "word_confidences": list_of(NUMBER),
}
_TRANSCRIPT: Final = object_of(
    {
        "session_id": TEXT,
        "complete": FLAG,
        "text": TEXT,
        "segments": list_of(object_of({**_SEGMENT_FIELDS, **_MORE_FIELDS}, *_SEGMENT_FIELDS, name="SessionSegment")),
    },
    name="SessionTranscript",
)

WantedForm = Annotated[Form, Path(description="The format.", examples=["srt"])]
Resumed = Annotated[str | None, Query(description="Like `Last-Event-ID`, for clients that cannot set headers.")]


def routes(viewers: Viewers) -> APIRouter:
    """The routes for viewers of a session."""
    router = APIRouter(prefix="/v1/sessions/{session_id}", tags=["Live captions"])

    @router.get(
        "/events",
        operation_id="followSession",
        summary="Follow a session",
        response_class=Response,
        responses=_EVENTS_DOC,
        dependencies=refusals.FOR_VIEWERS,
    )
    async def events(
        request: Request,
        session_id: refusals.SessionId,
        last_event_id: Resumed = None,
        resumed_after: Annotated[str | None, Header(alias="Last-Event-ID", description=_LAST)] = None,
    ) -> Response:
        """Follow a session: first the finals so far, or the events after `Last-Event-ID`, then all new events.

        The `id` of an event is its `seq`, and its data is the JSON of the native protocol. A viewer that does not keep
        up misses partials, which replace each other, but no finals. A viewer that hardly reads gets the error
        `viewer_slow` and must reconnect.
        """
        del last_event_id, resumed_after  # `last_seq_in` reads them, as it does for a WebSocket
        return EventStream(viewers, session_id, viewer_token_in(request), last_seq_in(request))

    @router.websocket("/events")
    async def events_socket(websocket: WebSocket, session_id: str) -> None:
        await serve_viewer(viewers, websocket, session_id)

    @router.head("/transcript.{form}", include_in_schema=False, response_class=Response)
    @router.get(
        "/transcript.{form}",
        operation_id="getTranscript",
        summary="Read the transcript of a session",
        response_class=Response,
        responses=_transcript_doc(),
        dependencies=refusals.FOR_VIEWERS,
    )
    async def transcript(request: Request, session_id: refusals.SessionId, form: WantedForm) -> Response:
        """The transcript so far. It is complete if the header `Transcript-Complete` is `true`."""
        standing = await viewers.standing(session_id, viewer_token_in(request))
        events = [event.wire for event in await viewers.transcript(session_id)]
        document = SessionTranscript.of(session_id, events, is_complete=standing.is_done)
        return Response(
            await asyncio.to_thread(document.written, form),
            headers={
                "content-type": MEDIA_TYPES[form],
                "cache-control": "no-store",
                "transcript-complete": str(document.is_complete).lower(),
            },
        )

    return router


def _transcript_doc() -> dict[int | str, Schema]:
    content = {media_type.partition(";")[0]: {"schema": TEXT} for media_type in MEDIA_TYPES.values()}
    content["application/json"] = {"schema": _TRANSCRIPT}
    header = {"schema": {"type": "string", "enum": ["true", "false"]}}
    said = {"description": "The transcript.", "content": content, "headers": {"Transcript-Complete": header}}
    return {200: said, **_REFUSALS}
