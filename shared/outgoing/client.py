"""Sends HTTP requests to URLs of clients, with everything bounded: addresses, time, bytes, redirects.

    async with OutgoingClient(settings.outgoing) as outgoing:
        answer = await outgoing.post(url, body, headers, within_s=10)
        async with outgoing.download(url, max_bytes=2**29, within_s=600) as download:
            async for chunk in download:
                ...

A name is resolved once, all its addresses are checked, and the connection is opened to one of the checked addresses, so
a name that later resolves to another address (DNS rebinding) changes nothing. TLS certificates are verified for the
name. Nothing is taken from the environment (proxies, `.netrc`), and there are no cookies and no kept connections.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, Self, TypeAlias
from urllib.parse import quote, urldefrag, urljoin

import httpcore2

from shared.config.webhooks import OutgoingSettings
from shared.outgoing.addresses import DEFAULT_PORTS, MAX_URL_CHARS, Address, AllowList, RefusedUrlError, Target
from shared.version import VERSION

MAX_ANSWER_BYTES: Final = 64 * 1024
"""Of the answer to `post`. What is beyond is not read."""
MAX_REDIRECTS: Final = 3
URL_PUNCTUATION: Final = "!#$%&'()*+,/:;=?@[]"
"""What a URL may contain beside letters, digits and `_.-~`."""
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
MAX_ADDRESSES: Final = 4
"""Addresses of a name that are tried."""
CONNECT_S: Final = 5.0
"""Time limit for each of them."""
SILENCE_S: Final = 20.0
"""How long a server may send nothing, and accept nothing."""
RESOLVERS: Final = 8
"""Threads that resolve names: the system's resolver blocks, and a slow name server must not block other threads."""

Resolve: TypeAlias = Callable[[str, int], Awaitable[Iterable[Address]]]
"""The addresses of a name, for a port. Raises OSError."""


class OutgoingError(Exception):
    """The request failed. The message says why in a few words, and repeats no URL."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    """Names in lower case."""


class Download:
    """The body of a successful answer, chunk by chunk."""

    def __init__(self, headers: Mapping[str, str], chunks: AsyncIterator[bytes]) -> None:
        self.headers = headers
        self._chunks = chunks

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Raises OutgoingError if the body is too large, too slow or cut off."""
        return self._chunks


class OutgoingClient:
    """One per process."""

    def __init__(
        self, settings: OutgoingSettings, *, resolve: Resolve | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        """`resolve` replaces the system's resolver, and `tls` the context with the system's authorities."""
        self._allowed = AllowList(settings.allow)
        self._threads = ThreadPoolExecutor(RESOLVERS, thread_name_prefix="resolve")
        self._resolve = resolve or self._resolve_with_system
        self._tls = tls or ssl.create_default_context()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def check(self, url: str) -> Target:
        """The parts of a URL that a request may be sent to, as far as that is known without resolving its name.

        Raises RefusedUrlError.
        """
        return self._allowed.target(url)

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], *, within_s: float) -> Answer:
        """Send a body. A redirect is an answer like others. Raises RefusedUrlError, OutgoingError."""
        target = self.check(url)
        async with _bounded(within_s), self._answer("POST", target, body, headers) as response:
            received = 0
            async for chunk in response.aiter_stream():  # the server may wait until its answer is read
                received += len(chunk)
                if received > MAX_ANSWER_BYTES:
                    break
            return Answer(response.status, _decoded(response.headers))

    @asynccontextmanager
    async def download(self, url: str, *, max_bytes: int, within_s: float) -> AsyncIterator[Download]:
        """Read a file. Redirects are followed, each checked like `url`.

        Raises RefusedUrlError, and OutgoingError also for an answer other than 200. `within_s` is for everything.
        """
        where = ""
        async with _bounded(within_s), AsyncExitStack() as stack:
            for _ in range(MAX_REDIRECTS + 1):
                try:
                    response = await stack.enter_async_context(self._answer("GET", self.check(url), b"", {}))
                except RefusedUrlError as error:
                    raise RefusedUrlError(f"{where}{error}") from None
                if response.status not in REDIRECTS:
                    break
                url, where = _redirected(url, response), "the server redirects to another URL: "
                await stack.aclose()
            else:
                raise OutgoingError(f"the server redirected more than {MAX_REDIRECTS} times")
            if response.status != 200:
                raise OutgoingError(f"the server answered {response.status}")
            yield Download(_decoded(response.headers), _limited(response, max_bytes))

    @asynccontextmanager
    async def _answer(
        self, method: str, target: Target, body: bytes, headers: Mapping[str, str]
    ) -> AsyncIterator[httpcore2.Response]:
        connected = _CheckedBackend(await self._addresses(target))
        url = httpcore2.URL(scheme=target.scheme, host=target.host, port=target.port, target=target.path)
        pool = httpcore2.AsyncConnectionPool(self._tls, max_connections=1, network_backend=connected)
        limits = {"connect": CONNECT_S, "read": SILENCE_S, "write": SILENCE_S, "pool": SILENCE_S}
        sent = {"Host": _host_header(target), "User-Agent": f"Voxtral/{VERSION}", "Accept-Encoding": "identity"}
        sent |= {"Content-Length": str(len(body))} if method == "POST" else {}
        lines = list((sent | dict(headers)).items())
        stream = pool.stream(method, url, headers=lines, content=body, extensions={"timeout": limits})
        with _failures():
            async with pool, stream as response:
                yield response

    async def _addresses(self, target: Target) -> list[Address]:
        try:
            found: Iterable[Address] = [ip_address(target.host)]
        except ValueError:
            try:
                found = await self._resolve(target.host, target.port)
            except (OSError, UnicodeError):  # a label may be too long for the resolver
                raise OutgoingError("its host name does not resolve") from None
        checked = [self._allowed.check(target, address) for address in found]
        if not checked:
            raise OutgoingError("its host name does not resolve")
        return checked[:MAX_ADDRESSES]

    async def _resolve_with_system(self, host: str, port: int) -> list[Address]:
        work = self._threads.submit(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        found = await asyncio.wrap_future(work)
        return [ip_address(where[0]) for *_, where in found]


class _CheckedBackend(httpcore2.AnyIOBackend):
    """Connects to the checked addresses, whatever the name resolves to now."""

    def __init__(self, addresses: list[Address]) -> None:
        self._addresses = addresses

    async def connect_tcp(
        self,
        host: str,  # noqa: ARG002 -- httpcore's signature
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        for address in self._addresses[:-1]:
            try:
                return await super().connect_tcp(str(address), port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                continue
        return await super().connect_tcp(str(self._addresses[-1]), port, timeout, local_address, socket_options)


@asynccontextmanager
async def _bounded(within_s: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(within_s):
            yield
    except TimeoutError:
        raise OutgoingError(f"the server took longer than {within_s:g} s") from None


class _failures:  # noqa: N801 -- reads like the functions of contextlib
    """Errors of the connection as OutgoingError."""

    def __enter__(self) -> None: ...

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, httpcore2.TimeoutException):
            raise OutgoingError("the server does not answer") from None
        if isinstance(error, httpcore2.ConnectError):
            cause = error.__cause__ or error.__context__
            why = "its TLS certificate is not valid" if isinstance(cause, ssl.SSLError) else "no connection is possible"
            raise OutgoingError(why) from None
        if isinstance(error, httpcore2.ProtocolError):
            raise OutgoingError("the server does not answer with valid HTTP") from None
        if isinstance(error, httpcore2.NetworkError | ssl.SSLError):
            raise OutgoingError("the connection was lost") from None


def _redirected(url: str, response: httpcore2.Response) -> str:
    """Where the answer to a request for `url` redirects to, without a fragment, which is not sent (RFC 9110, 10.2.2).
    Characters that must be encoded are encoded, as browsers do. Raises OutgoingError."""
    location = _decoded(response.headers).get("location", "")[: MAX_URL_CHARS + 1]
    if not location:
        raise OutgoingError(f"the server answered {response.status} without a Location")
    try:
        return urldefrag(urljoin(url, quote(location, URL_PUNCTUATION, "latin-1"))).url
    except ValueError:
        raise OutgoingError("the server redirects to an address that is not a URL") from None


async def _limited(response: httpcore2.Response, max_bytes: int) -> AsyncIterator[bytes]:
    declared = _decoded(response.headers).get("content-length", "")
    received = int(declared) if declared.isdecimal() else 0
    if received <= max_bytes:
        received = 0
        with _failures():
            async for chunk in response.aiter_stream():
                received += len(chunk)
                if received > max_bytes:
                    break
                yield chunk
    if received > max_bytes:
        raise OutgoingError(f"the file is larger than {max_bytes} bytes")


def _host_header(target: Target) -> str:
    host = f"[{target.host}]" if ":" in target.host else target.host
    return host if target.port == DEFAULT_PORTS[target.scheme] else f"{host}:{target.port}"


def _decoded(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode("ascii", "replace").lower(): value.decode("latin-1") for name, value in headers}
