"""The addresses of Redis that `REDIS_URL` may hold: one server, a service that Sentinels watch, or a Redis Cluster.

    redis://[user:password@]host[:6379][/db][?option=…]
    redis+sentinel://[user:password@]host[:26379],host[:26379],…/service[/db][?sentinel_password=…&option=…]
    redis+cluster://[user:password@]host[:6379],host[:6379],…[?option=…]

`rediss://`, `rediss+sentinel://` and `rediss+cluster://` use TLS, for the Sentinels as well. User and password are
those of Redis; the Sentinels have their own in `sentinel_username` and `sentinel_password`. Other options are those of
redis-py, such as `ssl_ca_certs`.
"""

import re
from dataclasses import dataclass, field
from typing import Final, Self, TypeAlias
from urllib.parse import parse_qsl, quote, unquote, urlencode

from shared.config.wording import ExplainedError

Node: TypeAlias = tuple[str, int]
"""Host and port."""

SCHEMES: Final = ("redis", "rediss", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")
BROKER_FORMS: Final = (
    "redis://host:port/number, or redis+sentinel://host:port,host:port/service/number for Sentinel; "
    "rediss:// and rediss+sentinel:// for TLS"
)
FORMS: Final = f"{BROKER_FORMS}; redis+cluster://host:port,host:port or rediss+cluster:// for Redis Cluster"
_REDIS_PORT: Final = 6379
_SENTINEL_PORT: Final = 26379
_SENTINEL: Final = "+sentinel"
_CLUSTER: Final = "+cluster"
_NODE: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:]+)(:(?P<port>\d+))?")


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """An address that has been read. `repr` shows no password."""

    shown: str
    """The URL without user, password and options."""
    scheme: str
    """`redis`, or `rediss` for TLS."""
    nodes: tuple[Node, ...]
    """The server, the Sentinels, or some nodes of the cluster."""
    service: str | None = None
    """The name under which the Sentinels know the primary; None for one server."""
    db: int = 0
    credentials: str = field(default="", repr=False)
    """`user:password`, percent-encoded as in the URL; empty if there are none."""
    sentinel_credentials: str = field(default="", repr=False)
    options: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    variable: str = "REDIS_URL"
    """The variable that holds the URL, for messages."""
    is_cluster: bool = False

    @classmethod
    def read(cls, url: str, variable: str = "REDIS_URL") -> Self:
        """Read a URL. Raises ExplainedError, whose message does not contain the URL."""
        scheme, separator, rest = url.partition("://")
        if not separator or scheme not in SCHEMES:
            raise ExplainedError(f"it does not begin with {', '.join(f'{one}://' for one in SCHEMES)}")
        rest, _, query = rest.partition("?")
        authority, slash, path = rest.partition("/")
        credentials, _, hosts = authority.rpartition("@")
        is_sentinel, is_cluster = scheme.endswith(_SENTINEL), scheme.endswith(_CLUSTER)
        nodes = _nodes(hosts, is_sentinel=is_sentinel, is_cluster=is_cluster)
        service, db = _service_and_db(path, is_sentinel=is_sentinel)
        if is_cluster and db:
            raise ExplainedError("it has a database, but a Redis Cluster has only number 0")
        options = dict(parse_qsl(query, keep_blank_values=True))
        user, password = options.pop("sentinel_username", ""), options.pop("sentinel_password", "")
        if (user or password) and not is_sentinel:
            raise ExplainedError("it has a password for Sentinels, but it names none")
        if user and not password:
            raise ExplainedError("it has a sentinel_username without a sentinel_password")
        return cls(
            f"{scheme}://{hosts}{slash}{path}",
            scheme.removesuffix(_SENTINEL).removesuffix(_CLUSTER),
            nodes,
            service,
            db,
            credentials,
            f"{quote(user, safe='')}:{quote(password, safe='')}" if password else "",
            tuple(options.items()),
            variable,
            is_cluster,
        )

    @property
    def is_sentinel(self) -> bool:
        return self.service is not None

    @property
    def has_tls(self) -> bool:
        return self.scheme == "rediss"

    @property
    def tls_options(self) -> dict[str, str]:
        """The options about certificates, by their names in redis-py."""
        return {name: value for name, value in self.options if name.startswith("ssl_")}

    def url_of(self, node: Node) -> str:
        """The URL of one Redis server, with user, password, database and options."""
        options = f"?{urlencode(self.options)}" if self.options else ""
        return f"{self.scheme}://{_at(self.credentials)}{shown_node(node)}/{self.db}{options}"

    def sentinel_url_of(self, node: Node) -> str:
        """The URL of one Sentinel, with its user, password and options about TLS."""
        options = f"?{urlencode(self.tls_options)}" if self.tls_options else ""
        return f"{self.scheme}://{_at(self.sentinel_credentials)}{shown_node(node)}/0{options}"


def shown_node(node: Node) -> str:
    """`host:port`, with an IPv6 address in brackets."""
    host, port = node
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _at(credentials: str) -> str:
    return f"{credentials}@" if credentials else ""


def _nodes(hosts: str, *, is_sentinel: bool, is_cluster: bool) -> tuple[Node, ...]:
    found = []
    for part in hosts.split(","):
        node = _NODE.fullmatch(part)
        if node is None:
            raise ExplainedError("it has no host, or a port that is not a number")
        port = int(node["port"] or (_SENTINEL_PORT if is_sentinel else _REDIS_PORT))
        if not 1 <= port <= 65535:
            raise ExplainedError("it has a port that is not from 1 to 65535")
        found.append((node["host"].strip("[]"), port))
    if len(found) > 1 and not is_sentinel and not is_cluster:
        raise ExplainedError("it names several hosts, which only redis+sentinel:// and redis+cluster:// may")
    return tuple(found)


def _service_and_db(path: str, *, is_sentinel: bool) -> tuple[str | None, int]:
    first, _, rest = path.partition("/") if is_sentinel else ("", "", path)
    if is_sentinel and (not first or first.isdecimal()):
        raise ExplainedError("it names no service after the Sentinels, such as /mymaster")
    if rest and not rest.isdecimal():
        raise ExplainedError("its database is not a number")
    return unquote(first) or None, int(rest or 0)
