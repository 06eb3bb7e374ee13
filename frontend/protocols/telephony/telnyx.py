"""The first message of Telnyx's media streams. Pure.

It does not name the tracks of the stream, so a parameter with the name and the values of Telnyx's own `stream_track`
does. Parameters may be in the address of the stream, too: not every command of Telnyx has custom ones.
"""

from collections.abc import Mapping
from typing import Any, Final

from frontend.protocols.telephony.call import TRACKS, Call, id_field, names_below, object_field, options
from frontend.protocols.telephony.tracks import RATE_HZ
from shared.errors import InvalidFieldError

STREAM_TRACK: Final = "stream_track"
STREAM_TRACKS: Final = {"inbound_track": TRACKS[:1], "outbound_track": TRACKS[1:], "both_tracks": TRACKS}
ENCODINGS: Final = {"PCMU": "pcmu", "PCMA": "pcma"}

PARAMETERS: Final = "custom_parameters"
NAMES: Final = names_below(PARAMETERS, STREAM_TRACK)


def parse_start(wire: dict[str, Any], query: Mapping[str, str]) -> Call:
    """The call of a `start`. `query` has the parameters of the address, which those of the stream replace.

    Raises InvalidFieldError and MissingFieldError.
    """
    start = object_field(wire, "start")
    custom = start.get(PARAMETERS)
    given = {} if custom is None else custom
    parameters = {**query, **given} if isinstance(given, dict) else given
    encoding = _encoding(object_field(start, "media_format"))
    tracks = _tracks(parameters)
    return Call(
        stream_id=id_field(wire, "stream_id", "stream_id"),
        call_id=id_field(start, "call_control_id", "start.call_control_id"),
        tracks=tracks,
        encoding=encoding,
        options=options(parameters, PARAMETERS, tracks, NAMES),
        names=NAMES,
    )


def _encoding(media_format: dict[str, Any]) -> str:
    encoding = media_format.get("encoding")
    known = ENCODINGS.get(encoding) if isinstance(encoding, str) else None
    if known is None:
        allowed = f"{', '.join(ENCODINGS)}: start the stream with stream_codec PCMU"
        raise InvalidFieldError("start.media_format.encoding", encoding, allowed)
    for name, expected in (("sample_rate", RATE_HZ), ("channels", 1)):
        if media_format.get(name) != expected:
            raise InvalidFieldError(f"start.media_format.{name}", media_format.get(name), str(expected))
    return known


def _tracks(parameters: object) -> tuple[str, ...]:
    name = parameters.get(STREAM_TRACK) if isinstance(parameters, dict) else None
    if name is None:
        return STREAM_TRACKS["inbound_track"]
    if not isinstance(name, str) or name not in STREAM_TRACKS:
        raise InvalidFieldError(STREAM_TRACK, name, ", ".join(STREAM_TRACKS))
    return STREAM_TRACKS[name]
