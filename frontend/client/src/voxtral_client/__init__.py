"""A client of Voxtral Real-time Streaming: live and recorded speech to text.

    from voxtral_client import transcribe
    print(transcribe("speech.wav", "http://127.0.0.1:8000").text)

`TranscriptionClient` is for asyncio, `voxtral_client.sync.TranscriptionClient` for programs without it.
"""

from voxtral_client.addresses import AddressError
from voxtral_client.client import TranscriptionClient
from voxtral_client.events import (
    Done,
    Final,
    FinalSpeakers,
    Partial,
    Ready,
    Reply,
    Revised,
    SessionEvent,
    Speakers,
    SpeechStarted,
    SpeechStopped,
    SpokenTurn,
    Warned,
)
from voxtral_client.messages import (
    ClientError,
    ConnectionLostError,
    KeyFormatError,
    ServerError,
    UnexpectedMessageError,
    UnreachableError,
)
from voxtral_client.parts import Committed, Latency, Usage, Word
from voxtral_client.session import LiveSession
from voxtral_client.sync import transcribe
from voxtral_client.turns import TurnEnded, TurnEndedEarly, TurnResumed
from voxtral_client.version import VERSION

__all__ = [
    "VERSION",
    "AddressError",
    "ClientError",
    "Committed",
    "ConnectionLostError",
    "Done",
    "Final",
    "FinalSpeakers",
    "KeyFormatError",
    "Latency",
    "LiveSession",
    "Partial",
    "Ready",
    "Reply",
    "Revised",
    "ServerError",
    "SessionEvent",
    "Speakers",
    "SpeechStarted",
    "SpeechStopped",
    "SpokenTurn",
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
