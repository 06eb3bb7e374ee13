"""Which connection of a session may write its audio, and from which position: shared by `start` and `resume`."""

from dataclasses import dataclass

from redis.asyncio import Redis

from shared.bus import keys
from shared.bus.lua.audio import ATTACH
from shared.bus.scripts import Script


@dataclass(frozen=True, slots=True)
class Attachment:
    """The position in a session's audio stream at which a connection begins, and its right to write there."""

    connection: int = 0
    """Counts the connections of the session. Only the last one may write."""
    received_samples: int = 0
    """Position after the last sample in the stream."""
    controls_here: int = 1
    """Control entries at that position. A stream begins with one, `0-1`."""
    number: int = 0
    """The highest number of the numbered control messages in the stream."""
    consumed_samples: int = 0
    """Audio that the session's worker has processed."""
    ended: bool = False
    """Whether the session accepts no more audio. Its events can still be read."""
    is_complete: bool = False
    """Whether its client has said that no more audio follows."""


async def attach(redis: Redis, session_id: str) -> Attachment | None:
    """Give the session to a new connection, and record in its stream that a client is connected.

    From then on all writes of older connections are rejected. None if there is no such session.
    """
    names = (keys.session(session_id), keys.audio(session_id))
    found = await Script(redis, ATTACH)(keys=names, args=[keys.channel(session_id)])
    if found is None:
        return None
    connection, entry_id, number, consumed, complete = found
    if not entry_id:
        return Attachment(connection, number=int(number), ended=True, is_complete=True)
    position, _, controls = entry_id.partition(b"-")
    return Attachment(connection, int(position), int(controls), int(number), int(consumed), is_complete=bool(complete))
