"""One HTTP GET of a small JSON response, for commands that query the service."""

import base64
import http.client
import json
import ssl
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from frontend.cli.failures import CA_HINT
from voxtral_client.addresses import proxy_for, without_password
from voxtral_client.servers import reason_of

TIMEOUT_S = 5.0
LIMIT_BYTES = 4 * 1024 * 1024


class HttpError(Exception):
    """The address does not answer, or not as this service does."""

    def __init__(self, message: str, *, refused: bool = False, answered: bool = False) -> None:
        super().__init__(message)
        self.refused = refused
        """Whether no program listens there."""
        self.answered = answered
        """Whether another server answers."""


def connection_to(url: str, tls: ssl.SSLContext | None, timeout_s: float) -> http.client.HTTPConnection:
    """A connection without a proxy; not open yet. `tls` sets the accepted certificates; None: those of the system's
    authorities."""
    parts = urlsplit(url)
    if parts.scheme == "https":
        return http.client.HTTPSConnection(parts.netloc, timeout=timeout_s, context=tls)
    return http.client.HTTPConnection(parts.netloc, timeout=timeout_s)


def request_of(url: str, **headers: str) -> urllib.request.Request:
    """A request, with user and password in the URL as Basic authentication. A redirect does not pass them on."""
    parts = urlsplit(url)
    credentials, at, host = parts.netloc.rpartition("@")
    request = urllib.request.Request(urlunsplit(parts._replace(netloc=host)), headers=headers)  # noqa: S310 -- callers check it
    if at:
        user, _, password = credentials.partition(":")
        encoded = base64.b64encode(unquote(f"{user}:{password}").encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {encoded}")
    return request


def get_json(url: str, tls: ssl.SSLContext | None = None) -> tuple[int, dict[str, Any]]:
    """The status and the JSON object at a URL. Raises `HttpError`, which names the proxy if one was used."""
    proxy = proxy_for(url)
    shown = without_password(url)
    place = shown if proxy is None else f"{shown} through the proxy {without_password(proxy)}"
    try:
        status, body = _fetch(url, proxy, tls)
    except urllib.error.URLError as error:
        raise _failure(place, error.reason) from None
    except (OSError, http.client.HTTPException) as error:
        raise _failure(place, error) from None
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise HttpError(f"{place} answers with status {status}, but not as this service does.", answered=True)
    return status, answer


def _fetch(url: str, proxy: str | None, tls: ssl.SSLContext | None) -> tuple[int, bytes]:
    proxies = {} if proxy is None else {urlsplit(url).scheme: proxy}
    handlers = (urllib.request.ProxyHandler(proxies), urllib.request.HTTPSHandler(context=tls))
    request = request_of(url, accept="application/json")
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=TIMEOUT_S) as response:
            return response.status, response.read(LIMIT_BYTES)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(LIMIT_BYTES)


def _failure(place: str, error: BaseException | str) -> HttpError:
    match error:
        case ConnectionRefusedError():
            return HttpError(f"Nothing answers at {place} (connection refused).", refused=True)
        case ssl.SSLCertVerificationError():
            return HttpError(f"The certificate of {place} is not accepted: {error.verify_message}. {CA_HINT}")
    # A port with TLS resets a connection without.
    answered = isinstance(error, http.client.HTTPException | ConnectionResetError)
    return HttpError(f"{place} does not answer ({reason_of(error, TIMEOUT_S)}).", answered=answered)
