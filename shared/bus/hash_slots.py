"""Where Redis Cluster keeps a key: its hash slot, and so its shard.

The keys of one session, one API key or one request share a hash tag in braces, so they are on one shard. Keys that all
sessions share have none: on a cluster their names begin with the tag `HOME`, so they are on one shard, too.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from redis.crc import key_slot

SLOTS: Final = 16_384
HOME: Final = "{voxtral}"
_KEYLESS: Final = frozenset(
    {
        *("PING", "TIME", "INFO", "ROLE", "WAIT", "BGREWRITEAOF", "SCRIPT LOAD", "CONFIG GET", "CONFIG SET"),
        *("AUTH", "HELLO", "SELECT", "CLIENT SETINFO", "CLIENT SETNAME", "CLIENT", "FLUSHALL", "KEYS", "SCAN"),
        *("SUBSCRIBE", "UNSUBSCRIBE", "SSUBSCRIBE", "SUNSUBSCRIBE", "PUBLISH", "CLUSTER KEYSLOT"),
    }
)
"""Commands without keys. Channels of pub/sub have their own tags."""


def placed(name: str) -> str:
    """The name of a key on a cluster."""
    return name if "{" in name else f"{HOME}:{name}"


@lru_cache(maxsize=65_536)
def slot_of(name: str) -> int:
    """The hash slot of a key on a cluster."""
    return key_slot(placed(name).encode())


def placed_words(words: Sequence[Any]) -> Sequence[Any]:
    """A command whose keys have their names on a cluster."""
    places = _places(words)
    if all(not isinstance(words[place], str) or "{" in words[place] for place in places):
        return words
    found = list(words)
    for place in places:
        if isinstance(found[place], str):
            found[place] = placed(found[place])
    return found


def name_in(words: Sequence[Any]) -> str:
    """The first key of a command, which says to which shard it goes; `HOME` if it has none."""
    places = _places(words)
    return str(words[places[0]]) if places else HOME


def _places(words: Sequence[Any]) -> Sequence[int]:
    """Where a command has its keys: of the commands that the service uses."""
    match words[0]:
        case "EVALSHA":
            return range(3, 3 + int(words[2]))
        case "ZINTERSTORE":
            return (1, *range(3, 3 + int(words[2])))
        case "EXISTS" | "DEL":
            return range(1, len(words))
        case "XREAD":
            first = words.index("STREAMS") + 1
            return range(first, first + (len(words) - first) // 2)
        case command if command in _KEYLESS or len(words) == 1:
            return ()
        case _:
            return (1,)
