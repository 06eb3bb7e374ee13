"""Which names of this machine a frontend answers to: the guard against DNS rebinding.

The owner of a web page may point the page's host name at this machine. Browsers then take the service for a part of
that page, so that no check of origins helps. The browser still sends the page's name as `Host`, which no script can
change.
"""

import re
from collections.abc import Callable, Iterable
from typing import Final

import structlog
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from frontend.access.origins import LOOPBACK_NAMES, host_of
from shared.config import Settings, is_loopback
from shared.errors import ForbiddenError, shown

EVERY_HOST: Final = "*"
ALL_INTERFACES: Final = ("0.0.0.0", "::", "")  # noqa: S104 -- compared, not bound

log = structlog.get_logger(__name__)


class Hosts:
    """The host names that a frontend answers to, with any port."""

    def __init__(self, settings: Settings, address: str | None = None) -> None:
        """`address` is what the frontend listens on, where that is not `server.host`.

        Any host is answered where other machines reach that address and `server.hosts` lists nothing.
        """
        configured, own = settings.server.hosts, settings.server.host if address is None else address
        self._names: tuple[str, ...] | None = None
        if EVERY_HOST not in configured and (configured or is_loopback(own)):
            named = [_bare(name) for name in configured] + ([] if own in ALL_INTERFACES else [own.lower()])
            self._names = tuple(dict.fromkeys((*LOOPBACK_NAMES, *named)))

    def check(self, hosts: Iterable[str]) -> None:
        """Raises ForbiddenError unless all of the `Host` headers of a request are names that this frontend answers to.

        A request without one is not from a browser: those always send it.
        """
        if self._names is None:
            return
        for host in hosts:
            found = host_of(f"//{host.strip()}")
            if found is None or not any(_matches(found[0].rstrip("."), name) for name in self._names):
                log.warning("foreign_host_refused", host=host[:200])
                allowed = ", ".join(f"[{name}]" if ":" in name else name for name in self._names)
                raise ForbiddenError(
                    f"The service does not answer to the host {shown(host)}; allowed: {allowed}. "
                    "The setting server.hosts adds others, such as the name that a proxy passes on: "
                    "VOXTRAL_SERVER__HOSTS='[\"voice.example\"]'."
                )


class HostGuard:
    """ASGI middleware that answers requests to other hosts with `refuse`."""

    def __init__(self, app: ASGIApp, hosts: Hosts, refuse: Callable[[ForbiddenError, Scope], Response]) -> None:
        self._app = app
        self._hosts = hosts
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        try:
            self._hosts.check(Headers(scope=scope).getlist("host"))
        except ForbiddenError as error:
            answer = self._refuse(error, scope)
            if scope["type"] == "websocket":
                await WebSocket(scope, receive, send).send_denial_response(answer)
            else:
                await answer(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _bare(name: str) -> str:
    """As `host_of` has it: in lower case, an IPv6 address without brackets."""
    return re.sub(r"^\[(.*)\]$", r"\1", name.lower())


def _matches(host: str, name: str) -> bool:
    return host.endswith(name[1:]) if name.startswith("*.") else host == name
