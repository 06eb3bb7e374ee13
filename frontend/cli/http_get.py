"""One HTTP GET of a small JSON response, for commands that query the service."""

import http.client
import json
import ssl
from typing import Any
from urllib.parse import urlsplit

TIMEOUT_S = 5.0
LIMIT_BYTES = 4 * 1024 * 1024


class HttpError(Exception):
    """The address does not answer, or not as this service does. `refused` if no program listens there."""

    def __init__(self, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused


def connection_to(url: str, tls: ssl.SSLContext | None, timeout_s: float) -> http.client.HTTPConnection:
    """Not open yet. `tls` sets the accepted certificates; None: those of the system's authorities."""
    parts = urlsplit(url)
    if parts.scheme == "https":
        return http.client.HTTPSConnection(parts.netloc, timeout=timeout_s, context=tls)
    return http.client.HTTPConnection(parts.netloc, timeout=timeout_s)


def get_json(url: str, tls: ssl.SSLContext | None = None) -> tuple[int, dict[str, Any]]:
    """The status and the JSON object at a URL. Raises `HttpError`."""
    parts = urlsplit(url)
    connection = connection_to(url, tls, TIMEOUT_S)
    try:
        connection.request("GET", parts.path or "/", headers={"accept": "application/json"})
        response = connection.getresponse()
        body = response.read(LIMIT_BYTES)
    except ConnectionRefusedError:
        raise HttpError(f"Nothing answers at {url} (connection refused).", refused=True) from None
    except TimeoutError:
        raise HttpError(f"{url} does not answer within {TIMEOUT_S:g} s.") from None
    except ssl.SSLCertVerificationError as error:
        raise HttpError(f"The certificate of {url} is not accepted: {error.verify_message}.") from None
    except (OSError, http.client.HTTPException) as error:
        raise HttpError(f"{url} does not answer ({error or type(error).__name__}).") from None
    finally:
        connection.close()
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise HttpError(f"{url} answers with status {response.status}, but not as this service does.")
    return response.status, answer
