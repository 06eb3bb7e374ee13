"""The limits on connections without a key at one process: a share for all clients, and a smaller one per address."""

import ipaddress
from collections import Counter
from typing import Final

from shared.errors import ServerBusyError

SHARE: Final = 0.5
SHARE_OF_AN_ADDRESS: Final = 0.25
"""Shares of all connections that a server accepts. A reverse proxy is one address, and forwards many clients."""
IPV6_NETWORK_BITS: Final = 64
"""One customer has as many addresses as this prefix leaves."""
RETRY_AFTER_S: Final = 1.0
KEY_FIRST: Final = 'A key is required first: as a header, or as {"type": "auth", "key": "…"}.'


class Strangers:
    def __init__(self, max_connections: int) -> None:
        self._most = max(1, int(SHARE * max_connections))
        self._most_of_an_address = max(1, int(SHARE_OF_AN_ADDRESS * max_connections))
        self._by_address: Counter[str] = Counter()

    def __len__(self) -> int:
        return self._by_address.total()

    def enter(self, address: str | None) -> "Stranger":
        """Count a connection until it leaves. Raises ServerBusyError if the limit is reached."""
        network = _network(address)
        for taken, most, whose in (
            (self._by_address[network], self._most_of_an_address, "your address"),
            (len(self), self._most, "all clients"),
        ):
            if taken >= most:
                raise ServerBusyError(
                    f"{most} connections of {whose} have presented no key yet, which is the limit.",
                    retry_after_s=RETRY_AFTER_S,
                )
        self._by_address[network] += 1
        return Stranger(self._by_address, network)


class Stranger:
    """One connection without a key. Created by `Strangers.enter`."""

    def __init__(self, by_address: Counter[str], network: str) -> None:
        self._by_address = by_address
        self._network = network
        self._is_counted = True

    def leave(self) -> None:
        """It has presented a key, or has disconnected."""
        if self._is_counted:
            self._is_counted = False
            self._by_address[self._network] -= 1
            if not self._by_address[self._network]:
                del self._by_address[self._network]


def _network(address: str | None) -> str:
    """The group of addresses that counts as one."""
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return ""  # a socket without an address: all of them together
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((parsed, IPV6_NETWORK_BITS), strict=False))
