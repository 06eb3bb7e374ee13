"""Checks of the service: its keys, its ports, Redis, and whether it is ready."""

import asyncio
import errno
import http.client
import json
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from redis.exceptions import AuthenticationError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError

from frontend.access.key_source import KeySource
from frontend.access.webhooks import WebhookRules
from frontend.cli.address import own_health_url
from frontend.cli.checks.check import Check, absent, broken, ok, warning
from frontend.cli.checks.cluster import MIN_REDIS_VERSION, check_cluster
from frontend.cli.http_get import HttpError, connection_to, get_json
from frontend.servers.tls import probe_context, server_context
from shared.bus.append_only_file import APPEND_ONLY, REMEDY, damage, locked
from shared.bus.cluster import NotClusterError
from shared.bus.connect import connect_to
from shared.bus.credentials import advice as credentials_advice
from shared.bus.credentials import cluster_advice, find_primary, of_cluster, refusal
from shared.bus.primary import NoPrimaryError
from shared.bus.server_binary import server_binary
from shared.config.sections import KEYLESS
from shared.config.settings import Settings
from shared.errors import StartupError
from shared.ports import Listener, authority, clash, listeners, listening, reachable
from shared.redis_address import Node, RedisAddress, shown_node
from shared.webhooks.signing import Signer
from voxtral_client import ClientError, TranscriptionClient

PROBE_TIMEOUT_S = 3.0
LENGTH_BYTES = 4
MOST_CLOCK_DIFFERENCE_S = 0.1
PONG_LIMIT_BYTES = 4096
PAGE_LIMIT_BYTES = 64 * 1024


def check_webhooks(settings: Settings) -> Check:
    """Whether webhooks have a secret, and those of the keys are allowed."""
    try:
        KeySource(settings.access, WebhookRules(settings).check_key)
        if settings.webhooks.enabled:
            Signer.of(settings.webhooks)
    except StartupError as error:
        return broken("Webhooks", str(error), "docs/webhooks.md says how webhooks are enabled.")
    return ok("Webhooks", "on") if settings.webhooks.enabled else absent("Webhooks", "off")


def check_keys(settings: Settings) -> Check:
    """Whether keys are on. An exposed service without keys is a warning, as in `make run`."""
    host = settings.server.host
    try:
        source = KeySource(settings.access)
    except StartupError as error:
        return broken("Keys", str(error), "Correct the list; `voxtral keys new` prints lines for it.")
    if source.enabled:
        count = len(source.ring)
        if count == 0:
            return warning(
                "Keys", "on, but the list is empty: no client is admitted", "Create one: `voxtral keys new`."
            )
        spoken, named = KEYLESS.intersection(settings.server.protocols), settings.access.protocol_keys
        without = sorted(one for one in spoken if one not in named or source.ring.named(named[one]) is None)
        if without:
            return warning(
                "Keys",
                f"on, but all clients of {', '.join(without)} are rejected: they present no key",
                "access.protocol_keys must name a valid key for each of these protocols.",
            )
        return ok("Keys", f"on: {count} {'key' if count == 1 else 'keys'}")
    if settings.is_exposed:
        return warning(
            "Keys",
            f"off, and the service listens on {host}: anyone who can reach this machine can use it",
            "`voxtral keys new` creates a key; docs/access.md says where to put it.",
        )
    return absent("Keys", f"off; not needed while the service listens on {host} only")


def check_tls(settings: Settings) -> Check:
    """Whether the ports use TLS, and whether keys are sent unencrypted."""
    try:
        tls = server_context(settings)
    except StartupError as error:
        return broken("TLS", str(error), "Correct server.tls_certificate and server.tls_key.")
    if tls is not None:
        return ok("TLS", f"on, with the certificate in {settings.server.tls_certificate}")
    if settings.sends_keys_in_clear:
        return warning(
            "TLS",
            f"off, and keys are sent unencrypted to {settings.server.host} unless a proxy in front of it ends TLS",
            "Set server.tls_certificate and server.tls_key; see docs/access.md.",
        )
    return absent("TLS", "off")


def check_ports(settings: Settings) -> Iterator[Check]:
    """Every port of the service is free, or this service answers there, and no two are the same. Redis has its own
    check."""
    tls = probe_context(settings)
    tls_of_flower = tls if settings.flower.basic_auth else None
    probes: dict[str, Callable[[Listener], bool]] = {
        "websocket": lambda listener: _websocket_answers(listener, tls),
        "tcp": lambda listener: _tcp_answers(listener, tls),
        "page": lambda listener: _http_mentions(listener, tls, "/config.json", "sample_rate"),
        "health": lambda listener: _http_mentions(listener, tls, "/health", "uptime_s"),
        "flower": lambda listener: _http_mentions(listener, tls_of_flower, "/", "flower"),
        "wyoming": _wyoming_answers,
    }
    wanted = listeners(settings)
    if fault := clash(wanted):
        yield broken("Ports", fault.rstrip("."), "Change one of them.")
    for listener in wanted:
        if listener.what in probes:
            yield _check_port(listener, probes[listener.what])


def check_redis(settings: Settings) -> Check:
    """Redis answers and is new enough. An embedded server that is not running is not a fault."""
    return _check_redis("Redis", settings.redis_at, settings, confirming=settings.redis.confirm_replicas)


def check_broker(settings: Settings) -> Iterator[Check]:
    """The same for the Redis of Celery's queues, if it is another one."""
    if settings.redis.broker_url is not None:
        yield _check_redis("Broker", settings.broker_at, settings, confirming=0)


def _check_redis(name: str, address: RedisAddress, settings: Settings, *, confirming: int) -> Check:
    """`confirming` is the number of replicas that the service waits for."""
    try:
        if address.is_cluster:
            return check_cluster(address, confirming)
        found = asyncio.run(_server(address))
    except (RedisError, OSError, ValueError) as error:
        return _no_redis(name, address, settings, error)
    if found.is_of_cluster:
        return broken(name, of_cluster(address).rstrip("."), cluster_advice(address))
    if found.major < MIN_REDIS_VERSION:
        detail = f"{found.name} at {address.shown} is too old"
        return broken(name, detail, f"Use version {MIN_REDIS_VERSION} or newer.")
    if found.clock_differs_s > MOST_CLOCK_DIFFERENCE_S:
        return warning(
            name,
            f"{found.name} at {address.shown}; its clock is {found.clock_differs_s:.1f} s from that of this machine",
            "Synchronise the clocks of all machines by NTP: otherwise latencies and lags are wrong by as much.",
        )
    return _check_replicas(name, address, found, confirming)


def _no_redis(name: str, address: RedisAddress, settings: Settings, error: Exception) -> Check:
    """Why Redis cannot be used."""
    variable = address.variable
    advice = f"Check that it runs and that {variable} is correct."
    if isinstance(error, AuthenticationError | NotClusterError):
        return broken(name, refusal(address, error).rstrip("."), credentials_advice(address, error))
    if isinstance(error, NoPrimaryError):
        named = "the nodes, and their hosts" if address.is_cluster else "the Sentinels, and their hosts and service"
        return broken(name, str(error).rstrip("."), f"Check {named} in {variable}.")
    if not isinstance(error, RedisConnectionError):
        return broken(name, f"{address.shown} does not answer as Redis does ({_short(error)})", advice)
    is_off = isinstance(error.__cause__ or error.__context__, ConnectionRefusedError)
    if settings.redis_is_embedded and address == settings.redis_at and is_off:
        return absent(name, "the embedded server is not running", "`voxtral serve` starts it.")
    return broken(name, f"{address.shown} cannot be reached ({_short(error)})", advice)


@dataclass(frozen=True, slots=True)
class _Server:
    """The Redis that the service would use, as it reports itself."""

    name: str
    """Product and version."""
    major: int
    """The version of Redis that it is compatible with."""
    is_of_cluster: bool
    primary: Node | None
    """Its host and port, if Sentinels have named it."""
    replicas: int
    required: int | None
    """Its `min-replicas-to-write`; None if it may not be read."""
    clock_differs_s: float
    """How far its clock is from that of this machine, as far as that is certain."""


def _check_replicas(name: str, address: RedisAddress, server: _Server, confirming: int) -> Check:
    """Whether a failover can lose writes."""
    detail = f"{server.name} at {address.shown}"
    if server.primary is not None:
        replicas = f"{server.replicas} {'replica' if server.replicas == 1 else 'replicas'}"
        detail = f"{detail}; the primary is {shown_node(server.primary)}, with {replicas}"
    if server.replicas < confirming:
        advice = "Start more replicas, or lower redis.confirm_replicas."
        return warning(name, f"{detail}, but redis.confirm_replicas is {confirming}", advice)
    if server.primary is not None and server.required == 0:
        return warning(
            name,
            f"{detail}; without replicas it would still accept writes, which a failover loses",
            "Set min-replicas-to-write to 1 and min-replicas-max-lag to 2 on each Redis server.",
        )
    return ok(name, detail)


async def _server(address: RedisAddress) -> _Server:
    """Queried over a connection like those of the service, which may be rejected where others are not."""
    primary = await find_primary(address)
    redis = connect_to(address, reply_timeout_s=PROBE_TIMEOUT_S)
    try:
        began_s = time.time()
        info: dict[str, Any] = await redis.info("server")
        ended_s = time.time()
        for section in ("replication", "cluster"):
            info |= await redis.info(section)
        try:
            required = int((await redis.config_get("min-replicas-to-write"))["min-replicas-to-write"] or 0)
        except (ResponseError, KeyError):
            required = None
    finally:
        await redis.aclose()
    clock_s = int(info.get("server_time_usec", began_s * 1e6)) / 1e6
    product = "Valkey" if "valkey_version" in info else "Redis"
    return _Server(
        name=f"{product} {info.get('valkey_version', info['redis_version'])}",
        major=int(str(info["redis_version"]).partition(".")[0]),
        is_of_cluster=bool(info.get("cluster_enabled")),
        primary=primary,
        replicas=int(info.get("connected_slaves", 0)),
        required=required,
        clock_differs_s=max(0.0, began_s - clock_s, clock_s - ended_s),
    )


def check_embedded_server(settings: Settings) -> Check:
    """The binary that `make run` starts if `REDIS_URL` is not set."""
    if not settings.redis_is_embedded:
        return absent("Embedded server", "not needed: REDIS_URL names an external server")
    try:
        return ok("Embedded server", str(server_binary(settings.redis)))
    except StartupError as error:
        return broken("Embedded server", str(error), "Install redis-server, or set REDIS_URL to an external server.")


def check_store(settings: Settings) -> Check:
    """Whether the embedded server can load its append-only file."""
    data_dir = settings.redis.data_dir
    if not settings.redis_is_embedded:
        return absent("Store", "not needed: REDIS_URL names an external server")
    if not (data_dir / APPEND_ONLY).exists():
        return absent("Store", f"{data_dir} is still empty")
    try:
        binary = server_binary(settings.redis)
        with locked(data_dir):
            fault = damage(settings.redis, binary)
    except StartupError as error:  # in use, or without a binary, which has its own check
        return absent("Store", str(error).rstrip("."))
    return ok("Store", f"{data_dir} can be loaded") if fault is None else broken("Store", fault.rstrip("."), REMEDY)


def check_readiness(settings: Settings) -> Check:
    url = own_health_url(settings)
    try:
        status, answer = get_json(f"{url}/ready", probe_context(settings))
    except HttpError as error:
        if error.refused:
            return absent("Service", "not running", "`voxtral serve` starts it.")
        return broken("Service", str(error), "See the log.")
    if status == http.client.OK:
        return ok("Service", f"ready at {url}")
    reason = str(answer.get("reason") or answer.get("detail") or f"status {status}")
    return broken("Service", f"not ready: {reason}", "Wait until the model is warm; the log shows what prevents it.")


def _check_port(listener: Listener, answers: Callable[[Listener], bool]) -> Check:
    name, port = f"Port of {listener.what}", listener.port
    try:
        listening(listener.host, port).close()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            host = "wyoming.host" if listener.what == "wyoming" else "server.host"
            setting = listener.setting if error.errno == errno.EACCES else host
            return broken(name, f"{port} cannot be opened on {listener.host}: {error.strerror}", f"Change {setting}.")
    else:
        return ok(name, f"{port} is free")
    if answers(listener):
        return ok(name, f"{port} is served by this service")
    return broken(name, f"{port} is used by another program", f"Stop that program, or change {listener.setting}.")


def _websocket_answers(listener: Listener, tls: ssl.SSLContext | None) -> bool:
    async def ping() -> None:
        url = f"{'ws' if tls is None else 'wss'}://{authority(listener.host, listener.port)}"
        async with asyncio.timeout(PROBE_TIMEOUT_S), TranscriptionClient(url, tls=tls) as client:
            await client.ping()

    try:
        asyncio.run(ping())
    except (ClientError, TimeoutError):
        return False
    return True


def _tcp_answers(listener: Listener, tls: ssl.SSLContext | None) -> bool:
    request = json.dumps({"type": "ping"}).encode()
    address = (reachable(listener.host), listener.port)
    try:
        with (
            socket.create_connection(address, PROBE_TIMEOUT_S) as bare,
            bare if tls is None else tls.wrap_socket(bare) as connection,
            connection.makefile("rb") as answers,
        ):
            connection.sendall(struct.pack("!I", len(request)) + request)
            (length_bytes,) = struct.unpack("!I", answers.read(LENGTH_BYTES))
            return length_bytes < PONG_LIMIT_BYTES and b"pong" in answers.read(length_bytes)
    except (OSError, struct.error):
        return False


def _wyoming_answers(listener: Listener) -> bool:
    """Whether an event follows a request for the models, which may be an error."""
    address = (reachable(listener.host), listener.port)
    try:
        with socket.create_connection(address, PROBE_TIMEOUT_S) as connection, connection.makefile("rb") as answers:
            connection.sendall(b'{"type": "describe"}\n')
            return answers.readline(PONG_LIMIT_BYTES).startswith(b'{"type"')
    except OSError:
        return False


def _http_mentions(listener: Listener, tls: ssl.SSLContext | None, path: str, word: str) -> bool:
    """Whether an HTTP server answers with the word in its headers or body."""
    scheme = "http" if tls is None else "https"
    connection = connection_to(f"{scheme}://{authority(listener.host, listener.port)}", tls, PROBE_TIMEOUT_S)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        text = f"{response.msg}{response.read(PAGE_LIMIT_BYTES).decode(errors='replace')}"
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return word in text.lower()


def _short(error: Exception) -> str:
    return (str(error) or type(error).__name__).partition("\n")[0].rstrip(".")
