"""What requests of viewers of a session contain: its viewer token, and the last event that the viewer has."""

import re
from typing import Final

from starlette.requests import HTTPConnection

from shared.errors import InvalidFieldError, UnauthorizedError

MAX_SEQ: Final = 2**53 - 1
_SEQ: Final = re.compile(r"[0-9]{1,16}")


def viewer_token_in(connection: HTTPConnection) -> str:
    """The viewer token: `?token=` takes precedence over the header, which may hold an unrelated key."""
    token = connection.query_params.get("token")
    if token is None:
        scheme, _, token = connection.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            token = ""
    if not token.strip():
        raise UnauthorizedError("A viewer token is required: Authorization: Bearer …, or ?token=….")
    return token.strip()


def last_seq_in(connection: HTTPConnection) -> int:
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
