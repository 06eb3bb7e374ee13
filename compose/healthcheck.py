"""The container's health: `python -m compose.healthcheck [PORT]` ends with 0 if the process is alive and can serve.

It asks `/ready` of the health port. With another port it only checks that something accepts connections there.
"""

import http.client
import socket
import ssl
import sys

from shared.config import Settings, load_settings

TIMEOUT_S = 3.0


def main(port: int | None, settings: Settings) -> int:
    """The exit status: 0 if healthy, else 1."""
    try:
        healthy = _answers(settings) if port is None else _listens(port)
        return 0 if healthy else 1
    except (OSError, http.client.HTTPException):
        return 1


def _answers(settings: Settings) -> bool:
    port = settings.server.health_port
    if settings.server.tls_certificate is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    else:  # the certificate is for the public name, and this is loopback
        context = ssl._create_unverified_context()  # noqa: S323
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=TIMEOUT_S, context=context)
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status == 200
    finally:
        connection.close()


def _listens(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S):
        return True


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else None, load_settings()))
