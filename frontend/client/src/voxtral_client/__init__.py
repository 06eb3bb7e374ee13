"""A client of Voxtral Real-time Streaming: live and recorded speech to text.

    from voxtral_client import transcribe
    print(transcribe("speech.wav", "http://127.0.0.1:8000").text)

`TranscriptionClient` is for asyncio, `voxtral_client.sync.TranscriptionClient` for programs without it.
"""

from voxtral_client.addresses import AddressError
from voxtral_client.client import TranscriptionClient
from voxtral_client.events import (
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
    TurnEnded,
    TurnEndedEarly,
    TurnResumed,
    Usage,
    Warned,
    Word,
)
from voxtral_client.messages import (
    ClientError,
    ConnectionLostError,
    ServerError,
    UnexpectedMessageError,
    UnreachableError,
)
from voxtral_client.session import LiveSession
from voxtral_client.sync import transcribe
from voxtral_client.version import VERSION

__all__ = [
    "VERSION",
    "AddressError",
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
    "TurnEnded",
    "TurnEndedEarly",
    "TurnResumed",
    "UnexpectedMessageError",
    "UnreachableError",
    "Usage",
    "Warned",
    "Word",
    "transcribe",
]
