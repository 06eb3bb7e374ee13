"""The requests that the service sends to receivers, for the section `webhooks` of the OpenAPI document."""

from typing import Any, Final

from frontend.api.openapi.schemas import TEXT, Schema, object_of, said
from shared.webhooks.webhook import WebhookEvent

_ABOUT: Final = {
    WebhookEvent.FINAL: "A segment is transcribed.",
    WebhookEvent.DONE: "The session has ended.",
    WebhookEvent.ERROR: "The session has ended with an error.",
}
_HEADERS: Final = {
    "webhook-id": "The same for each attempt to send the event. An event may be sent twice.",
    "webhook-timestamp": "Time of the attempt, in Unix seconds.",
    "webhook-signature": "`v1,` and base64 of an HMAC-SHA256; several, separated by spaces, while the secret changes.",
}
_EVENT: Final = said({"type": "object", "additionalProperties": True}, "The event, as clients of the session get it.")
_EXAMPLE: Final[dict[WebhookEvent, dict[str, Any]]] = {
    WebhookEvent.FINAL: {"seq": 12, "segment": 2, "text": "Ever tried. Ever failed.", "start": 8.4, "end": 11.2},
    WebhookEvent.DONE: {"seq": 13, "text": "Ever tried. Ever failed.", "duration": 12.0},
    WebhookEvent.ERROR: {"seq": 13, "code": "idle_timeout", "message": "Nothing was received for 60 s."},
}


def webhooks() -> Schema:
    """One entry for each event."""
    return {f"session.{event}": {"post": _operation(event)} for event in WebhookEvent}


def _operation(event: WebhookEvent) -> Schema:
    kind = f"session.{event}"
    body = object_of({"type": {"const": kind}, "timestamp": said(TEXT, "When the event was read."), "data": _EVENT})
    example = {
        "type": kind,
        "timestamp": "2026-12-31T00:00:59.412+00:00",
        "data": {"type": event.value, "session_id": "5f0c2a9be1d84c70", **_EXAMPLE[event]},
    }
    return {
        "operationId": f"session{event.capitalize()}",
        "summary": _ABOUT[event],
        "description": "Sent to the webhook of a session, if it has one, as Standard Webhooks specifies.",
        "tags": ["Sessions"],
        "security": [],
        "parameters": [
            {"name": name, "in": "header", "required": True, "schema": TEXT, "description": about}
            for name, about in _HEADERS.items()
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": body, "example": example}}},
        "responses": {
            "2XX": {"description": "The event is delivered."},
            "410": {"description": "The receiver wants no more events of the session."},
            "4XX": {"description": "The event is sent again later, as after 3xx and 5xx."},
        },
    }
