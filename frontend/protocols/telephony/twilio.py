"""The first message of Twilio's Media Streams. Pure."""

from typing import Any, Final

from frontend.protocols.telephony.call import TRACKS, Call, id_field, names_below, object_field, options
from frontend.protocols.telephony.tracks import RATE_HZ
from shared.errors import InvalidFieldError

FORMAT: Final = {"encoding": "audio/x-mulaw", "sampleRate": RATE_HZ, "channels": 1}

PARAMETERS: Final = "customParameters"
NAMES: Final = names_below(PARAMETERS, "start.tracks")


def parse_start(wire: dict[str, Any]) -> Call:
    """The call of a `start`. Raises InvalidFieldError and MissingFieldError."""
    start = object_field(wire, "start")
    if start.get("mediaFormat") != FORMAT:
        raise InvalidFieldError("start.mediaFormat", start.get("mediaFormat"), str(FORMAT))
    tracks = _tracks(start.get("tracks"))
    return Call(
        stream_id=id_field(start, "streamSid", "start.streamSid"),
        call_id=id_field(start, "callSid", "start.callSid"),
        tracks=tracks,
        encoding="pcmu",
        options=options(start.get(PARAMETERS), PARAMETERS, tracks, NAMES),
        names=NAMES,
    )


def _tracks(names: object) -> tuple[str, ...]:
    if not isinstance(names, list) or not names or not all(name in TRACKS for name in names):
        raise InvalidFieldError("start.tracks", names, f"a list of {', '.join(TRACKS)}")
    return tuple(name for name in TRACKS if name in names)
