"""Where Redis Cluster keeps a key: its hash slot, and so its shard.

The keys of one session, one API key or one request share a hash tag in braces, so they are on one shard. Keys that all
sessions share have none: on a cluster their names begin with the tag `HOME`, so they are on one shard, too.
"""

from typing import Final

from redis.crc import key_slot

SLOTS: Final = 16_384
HOME: Final = "{voxtral}"


def placed(name: str) -> str:
    """The name of a key on a cluster."""
    return name if "{" in name else f"{HOME}:{name}"


def slot_of(name: str) -> int:
    """The hash slot of a key on a cluster."""
    return key_slot(placed(name).encode())
