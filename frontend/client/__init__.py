"""The Python client: `from frontend.client import TranscriptionClient`."""

from frontend.client.client import TranscriptionClient
from frontend.client.messages import (
    ClientError,
    Committed,
    ConnectionLostError,
    Done,
    Final,
    Latency,
    Partial,
    Ready,
    Reply,
    ServerError,
    SessionEvent,
    SpeechStarted,
    SpeechStopped,
    UnexpectedMessageError,
    UnreachableError,
    Warned,
    Word,
)
from frontend.client.session import LiveSession
from shared.events import Usage

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
