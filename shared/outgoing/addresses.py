"""Which addresses and URLs this service may send requests to: public ones, and those that a setting allows. Pure.

A URL of a client must not reach what only this machine or its network can reach (server-side request forgery).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias
from urllib.parse import urlsplit

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

MAX_URL_CHARS: Final = 2048
PORTS: Final = frozenset({80, 443, 8080, 8443})
"""The ports of web servers. Others would make this service a port scanner, and reach mail servers and databases."""
DEFAULT_PORTS: Final = {"https": 443, "http": 80}

_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
"""All that IANA has assigned to networks (RFC 4291)."""
_NAT64: Final = IPv6Network("64:ff9b::/96")
"""Its last 32 bits are an IPv4 address, as in 6to4 (RFC 6052)."""
_NOT_PUBLIC: Final = tuple(
    map(
        ip_network,
        (
            "100.64.0.0/10",  # carrier-grade NAT; clouds have services in it (100.100.100.200)
            "168.63.129.16/32",  # the metadata of virtual machines of Azure
            "192.0.0.0/24",  # IETF protocols; Oracle's metadata (192.0.0.192)
            "192.88.99.0/24",  # relays of 6to4
            "2001::/23",  # IETF protocols: Teredo, which embeds addresses, and others
            "2001:db8::/32",  # documentation, like the next one
            "3fff::/20",
        ),
    )
)
"""Networks that `ipaddress` calls global, at least in some versions of Python, or that this list must not miss."""
_NAME: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?", re.IGNORECASE)
_URL_CHARS: Final = re.compile(r"[!#-;=?-\[\]_a-z~]*", re.IGNORECASE)
"""Visible ASCII without quotes, <, >, backslash, ^, `, { | }."""


class RefusedUrlError(Exception):
    """The service does not send a request to this URL. The message says what is allowed, and repeats no URL."""


@dataclass(frozen=True, slots=True)
class Target:
    """A URL in the parts that a request needs."""

    scheme: str
    host: str
    """A name in lower case, or an IP address without brackets."""
    port: int
    path: str
    """With the query."""
    is_listed: bool = False
    """Whether the setting allows this host by its name, with all its addresses."""

    def __repr__(self) -> str:
        return f"Target({self.shown})"

    @property
    def shown(self) -> str:
        """For logs: without path and query, which may hold secrets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}"


def read_url(url: str) -> Target:
    """The parts of a URL of a web server. Raises RefusedUrlError."""
    if len(url) > MAX_URL_CHARS:
        raise RefusedUrlError(f"a URL may have at most {MAX_URL_CHARS} characters")
    if not _URL_CHARS.fullmatch(url):
        raise RefusedUrlError("a URL may contain visible ASCII only; encode other characters with % or as punycode")
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme.lower(), (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        raise RefusedUrlError("it is not a URL") from None
    if scheme not in DEFAULT_PORTS or not host:
        raise RefusedUrlError("a URL must begin with https:// and a host")
    if "@" in parts.netloc:
        raise RefusedUrlError("a URL must not contain a user or a password")
    if "#" in url:
        raise RefusedUrlError("a URL must not contain a fragment (#)")
    if _address(host) is None and (not _NAME.fullmatch(host) or "[" in parts.netloc):
        raise RefusedUrlError("its host is neither a host name nor an IP address")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(scheme, host, DEFAULT_PORTS[scheme] if port is None else port, path)


class AllowList:
    """The hosts and networks of the setting `outgoing.allow`: `receiver.internal`, `*.internal`, `10.20.0.0/16`."""

    def __init__(self, entries: Iterable[str]) -> None:
        """Raises ValueError for an entry that is neither a host nor a network."""
        self._names: set[str] = set()
        self._suffixes: list[str] = []
        self._networks: list[Network] = []
        for entry in entries:
            network = _network(entry)
            if network is not None:
                self._networks.append(network)
            elif not _NAME.fullmatch(entry.removeprefix("*.")):
                raise ValueError(f"{entry!r} is neither a host name nor a network")
            elif entry.startswith("*."):
                self._suffixes.append(entry[1:].lower())
            else:
                self._names.add(entry.lower())

    def target(self, url: str) -> Target:
        """The target of a URL. Resolves no name. Raises RefusedUrlError."""
        target = read_url(url)
        address = _address(target.host)
        if self._lists_name(target.host) if address is None else self._lists(address):
            return replace(target, is_listed=True)
        if target.scheme != "https":
            raise RefusedUrlError("only https is allowed, except for hosts of the setting outgoing.allow")
        if target.port not in PORTS:
            allowed = ", ".join(map(str, sorted(PORTS)))
            raise RefusedUrlError(f"the port must be one of {allowed}, except for hosts of the setting outgoing.allow")
        if address is not None and not is_public(address):
            raise RefusedUrlError(_NO_PUBLIC_ADDRESS)
        return target

    def check(self, target: Target, address: Address) -> Address:
        """The address to connect to. Raises RefusedUrlError if this target may not be reached there."""
        if not target.is_listed and not self._lists(address) and not is_public(address):
            raise RefusedUrlError(_NO_PUBLIC_ADDRESS)
        return _unmapped(address)

    def _lists_name(self, host: str) -> bool:
        return host in self._names or any(host.endswith(suffix) for suffix in self._suffixes)

    def _lists(self, address: Address) -> bool:
        return any(_unmapped(address) in network for network in self._networks)


_NO_PUBLIC_ADDRESS: Final = (
    "its host has an address that is not public, and that the setting outgoing.allow does not list"
)


def is_public(address: Address) -> bool:
    """Whether the address belongs to a public host of the Internet, and embeds none that does not."""
    if isinstance(address, IPv6Address):
        embedded = _embedded(address)
        if embedded is not None:
            return is_public(embedded)
        if address not in _GLOBAL_UNICAST:
            return False
    is_special = address.is_multicast or address.is_reserved or not address.is_global
    return not is_special and not any(address in network for network in _NOT_PUBLIC)


def _embedded(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that packets to this address may be translated or tunnelled to."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


def _unmapped(address: Address) -> Address:
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _address(host: str) -> Address | None:
    try:
        return ip_address(host) if "%" not in host else None  # a zone is for link-local addresses
    except ValueError:
        return None


def _network(entry: str) -> Network | None:
    try:
        return ip_network(entry)
    except ValueError:
        return None
