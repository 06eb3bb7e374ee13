"""The bodies that are sent to webhooks, made of the events of a session. Pure."""

from datetime import UTC, datetime
from typing import Any, Final

import orjson

from shared.bus.webhooks import Look
from shared.errors import SessionExpiredError
from shared.events import EventType
from shared.webhooks.webhook import WebhookEvent

MAX_BYTES: Final = 256 * 1024
"""Of a body. A longer one is sent without word times; if it is still too long, without text."""
LOST: Final = "lost"
"""The number of the event that says that the others of a session were lost."""
_ENDINGS: Final = (EventType.DONE, EventType.ERROR)
_LONG_FIELDS: Final = ("words", "text")


def bodies(look: Look, now: datetime) -> dict[int | str, bytes]:
    """The bodies by the numbers of their events, in order: those of the events that the webhook wants."""
    if look.webhook is None:
        return {}
    events = [orjson.loads(final) for final in look.finals]
    if look.is_over:
        events += [_lost(look.session_id)] if look.is_lost else _endings(look.last)
    wanted = set(look.webhook.events)
    return {event["seq"]: _body(event, now) for event in events if event["type"] in wanted}


def sent_at_s(body: bytes) -> float:
    """When the event of a body was read, as Unix time."""
    return datetime.fromisoformat(orjson.loads(body)["timestamp"]).timestamp()


def _endings(last: bytes | None) -> list[dict[str, Any]]:
    event = {} if last is None else orjson.loads(last)
    return [event] if event.get("type") in _ENDINGS else []


def _lost(session_id: str) -> dict[str, Any]:
    message = "Later events of the session, if there were any, have expired before they could be sent."
    return {
        "type": WebhookEvent.ERROR,
        "session_id": session_id,
        "seq": LOST,
        "code": SessionExpiredError.code,
        "message": message,
    }


def _body(event: dict[str, Any], now: datetime) -> bytes:
    about = {"type": f"session.{event['type']}", "timestamp": now.astimezone(UTC).isoformat(timespec="milliseconds")}
    body = orjson.dumps(about | {"data": event})
    for name in _LONG_FIELDS:
        if len(body) > MAX_BYTES and name in event:
            event = {field: value for field, value in event.items() if field != name}
            event["omitted"] = [*event.get("omitted", ()), name]
            body = orjson.dumps(about | {"data": event})
    return body
