"""Live captions over HTTP: the events of a session and its transcript, for clients with its viewer token.

A viewer token is part of every request and never a cookie. So a page of another site cannot use the token of a browser
that has one, and origins need no check.
"""

import asyncio
import re
from typing import Annotated, Final

import structlog
from fastapi import APIRouter, Header, Path, Query, Request, Response, WebSocket
from starlette.requests import HTTPConnection
from starlette.websockets import WebSocketDisconnect

from frontend.access.guard import STRANGER_MESSAGE_MAX
from frontend.api.errors import refusal
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
from frontend.api.renderers import OPENAI
from frontend.protocols.close_codes import CLOSE_CODES
from frontend.servers.direct_writes import Wire, inbox_of, wire_of
from frontend.transcripts.document import MEDIA_TYPES, Form, SessionTranscript
from frontend.viewers.sse import MEDIA_TYPE, EventStream
from frontend.viewers.viewer import Frame, Viewer, error_frame
from frontend.viewers.viewers import Place, Viewers
from shared.errors import InvalidFieldError, UnauthorizedError, VoxtralError

MAX_SEQ: Final = 2**53 - 1
PING: Final = b"\x89\x00"
"""Browsers answer it automatically."""
CLOSE_TIMEOUT_S: Final = 5.0
_LAST: Final = "The `seq` of the last event that the client has; browsers send it when they reconnect."
VIEWERS_ONLY_LISTEN: Final = 1008
_SEQ: Final = re.compile(r"[0-9]{1,16}")
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

log = structlog.get_logger(__name__)


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
        del last_event_id, resumed_after  # `_after_seq` reads them, as it does for a WebSocket
        return EventStream(viewers, session_id, _token(request), _after_seq(request))

    @router.websocket("/events")
    async def events_socket(websocket: WebSocket, session_id: str) -> None:
        try:
            after_seq = _after_seq(websocket)
            async with viewers.place(session_id, _token(websocket)) as place:
                inbox_of(websocket.scope).restrict(STRANGER_MESSAGE_MAX)  # viewers only listen
                await websocket.accept()
                await _show(websocket, place, after_seq)
        except VoxtralError as error:
            await websocket.send_denial_response(refusal(error, OPENAI))

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
        standing = await viewers.standing(session_id, _token(request))
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


def _token(connection: HTTPConnection) -> str:
    """The viewer token: `?token=` takes precedence over the header, which may hold an unrelated key."""
    token = connection.query_params.get("token")
    if token is None:
        scheme, _, token = connection.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            token = ""
    if not token.strip():
        raise UnauthorizedError("A viewer token is required: Authorization: Bearer …, or ?token=….")
    return token.strip()


def _after_seq(connection: HTTPConnection) -> int:
    """The last event that the viewer has; 0 if none. The header, which browsers add themselves, is the newer value."""
    for name, given in (
        ("Last-Event-ID", connection.headers.get("last-event-id")),
        ("last_event_id", connection.query_params.get("last_event_id")),
    ):
        if given is not None:
            if not _SEQ.fullmatch(given) or int(given) > MAX_SEQ:
                raise InvalidFieldError(name, given, f"the id of an event, an integer from 0 to {MAX_SEQ}")
            return int(given)
    return 0


async def _show(websocket: WebSocket, place: Place, after_seq: int) -> None:
    wire = wire_of(websocket.scope)
    viewer = Viewer(wire, lambda frame: frame.message, PING)

    async def tell(frame: Frame) -> None:
        await websocket.send_text(frame.raw.decode())

    said = await place.follow(viewer, after_seq, tell, websocket.receive())
    if said is None or said["type"] != "websocket.disconnect":
        await _close(websocket, wire, viewer, has_spoken=said is not None)


async def _close(websocket: WebSocket, wire: Wire, viewer: Viewer, *, has_spoken: bool) -> None:
    code, reason = 1000, ""
    if has_spoken:
        code, reason = VIEWERS_ONLY_LISTEN, "Viewers cannot send messages."
    elif viewer.error is not None:
        code, reason = CLOSE_CODES.get(viewer.error.code, 1000), viewer.error.code
        log.info("viewer_dropped", code=reason, reason=viewer.error.message)
    # Data that a viewer does not read delays the end of its connection, so the delay has a limit.
    cut = asyncio.get_running_loop().call_later(CLOSE_TIMEOUT_S, wire.abort)
    try:
        if viewer.error is not None:
            await websocket.send_text(error_frame(viewer.error).raw.decode())
        await websocket.close(code, reason)
    except (WebSocketDisconnect, RuntimeError, OSError):
        pass  # it has disconnected
    finally:
        cut.cancel()
