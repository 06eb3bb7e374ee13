"""Which of a session's connections may write its audio, and from where: what `start` and `resume` have in common."""

from dataclasses import dataclass

from redis.asyncio import Redis

from shared.bus import keys
from shared.bus.lua.audio import ATTACH
from shared.bus.scripts import Script


@dataclass(frozen=True, slots=True)
class Attachment:
    """Where a connection takes a session up: the place in its audio stream, and the right to write there."""

    connection: int = 0
    """Counts the connections of the session. Only the last one may write."""
    received_samples: int = 0
    """Position behind the last sample in the stream."""
    controls_here: int = 1
    """Control entries at that position. A stream begins with one, `0-1`."""
    number: int = 0
    """The last number of a numbered control message that is in the stream."""
    consumed_samples: int = 0
    """Audio that the session's worker has been through."""
    ended: bool = False
    """Whether the session takes no more audio. Its events can still be read."""


async def attach(redis: Redis, session_id: str) -> Attachment | None:
    """Give the session to a new connection, and note in its stream that a client holds it again.

    From then on all writes of older connections are refused. None when there is no such session.
    """
    names = (keys.session(session_id), keys.audio(session_id))
    found = await Script(redis, ATTACH)(keys=names, args=[keys.channel(session_id)])
    if found is None:
        return None
    connection, entry_id, number, consumed = found
    if not entry_id:
        return Attachment(connection, number=int(number), ended=True)
    position, _, controls = entry_id.partition(b"-")
    return Attachment(connection, int(position), int(controls), int(number), int(consumed))
