"""The messages of telephone services, as their documentation shows them."""

import base64
from typing import Any

CALL = "CA0123456789abcdef0123456789abcdef"
STREAM = "MZ0123456789abcdef0123456789abcdef"
CONNECTED = {"event": "connected", "protocol": "Call", "version": "1.0.0"}
MULAW = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
STOP = {"event": "stop", "sequenceNumber": "5", "streamSid": STREAM, "stop": {"accountSid": "AC0", "callSid": CALL}}
DTMF = {"event": "dtmf", "streamSid": STREAM, "sequenceNumber": "5", "dtmf": {"track": "inbound_track", "digit": "1"}}
MARK = {"event": "mark", "sequenceNumber": "4", "streamSid": STREAM, "mark": {"name": "my label"}}
TELNYX_CALL = "v2:T02llQxIyaRkhfRKxgAP8nY511EhFLizdvdUKJiSw8d6A9BborherQ"
TELNYX_STREAM = "32DE0DEA-53CB-4B21-89A4-9E1819C043BC"
TELNYX_CONNECTED = {"event": "connected", "version": "1.0.0"}
PCMU = {"encoding": "PCMU", "sample_rate": 8000, "channels": 1}
TELNYX_STOP = {
    "event": "stop",
    "sequence_number": "5",
    "stop": {"user_id": "3E6F995F-85F7-4705-9741-53B116D28237", "call_control_id": TELNYX_CALL},
    "stream_id": TELNYX_STREAM,
}
TELNYX_DTMF = {
    "event": "dtmf",
    "stream_id": TELNYX_STREAM,
    "occurred_at": "2024-01-15T10:30:00Z",
    "sequence_number": "5",
    "dtmf": {"digit": "1"},
}
TELNYX_ERROR = {
    "event": "error",
    "payload": {"code": 100003, "title": "malformed_frame", "detail": "The frame is not JSON."},
    "stream_id": TELNYX_STREAM,
}


def start(stream_id: str = STREAM, **changes: Any) -> dict[str, Any]:
    """Twilio's."""
    about = {"accountSid": "AC0", "streamSid": stream_id, "callSid": CALL, "tracks": ["inbound"], "mediaFormat": MULAW}
    parameters = {"customParameters": {"FirstName": "Jane"}}
    return {
        "event": "start",
        "sequenceNumber": "1",
        "streamSid": stream_id,
        "start": {**about, **parameters, **changes},
    }


def telnyx_start(stream_id: str = TELNYX_STREAM, **changes: Any) -> dict[str, Any]:
    about = {
        "user_id": "3E6F995F-85F7-4705-9741-53B116D28237",
        "call_control_id": TELNYX_CALL,
        "call_session_id": "ff55a038-6f5d-11ef-9692-02420aeffb1f",
        "from": "+13122010094",
        "to": "+13122123456",
        "tags": ["TAG1", "TAG2"],
        "client_state": "aGF2ZSBhIG5pY2UgZGF5ID1d",
        "media_format": PCMU,
    }
    return {"event": "start", "sequence_number": "1", "stream_id": stream_id, "start": {**about, **changes}}


def media(audio: bytes, track: str = "inbound", at_ms: int = 0) -> dict[str, Any]:
    """Without the fields in which the services differ."""
    packet = {"track": track, "chunk": "1", "timestamp": str(at_ms), "payload": base64.b64encode(audio).decode()}
    return {"event": "media", "media": packet}


def twilio_media(audio: bytes, track: str = "inbound", at_ms: int = 0) -> dict[str, Any]:
    return {**media(audio, track, at_ms), "sequenceNumber": "3", "streamSid": STREAM}


def telnyx_media(audio: bytes, track: str = "inbound", at_ms: int = 0) -> dict[str, Any]:
    return {**media(audio, track, at_ms), "sequence_number": "4", "stream_id": TELNYX_STREAM}
