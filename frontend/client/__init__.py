"""The Python client: `from frontend.client import TranscriptionClient`."""

from frontend.client.client import TranscriptionClient
from frontend.client.messages import (
    ClientError,
    ConnectionLostError,
    ServerError,
    UnexpectedMessageError,
    UnreachableError,
)
from frontend.client.session import LiveSession
from shared.events import Usage
from shared.wire_events import (
    Committed,
    Done,
    Final,
    Latency,
    Partial,
    Ready,
    Reply,
    SessionEvent,
    SpeechStarted,
    SpeechStopped,
    Warned,
    Word,
)

__all__ = [
    "ClientError",
    "Committed",
    "ConnectionLostError",
    "Done",
    "Final",
    "Latency",
    "LiveSession",
    "Partial",
    "Ready",
    "Reply",
    "ServerError",
    "SessionEvent",
    "SpeechStarted",
    "SpeechStopped",
    "TranscriptionClient",
    "UnexpectedMessageError",
    "UnreachableError",
    "Usage",
    "Warned",
    "Word",
]
