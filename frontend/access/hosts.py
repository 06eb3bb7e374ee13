"""The host names that a frontend answers to: the protection against DNS rebinding.

The owner of a web page may point the page's host name at this machine. Browsers then treat the service as part of that
page, so a check of origins does not help. But the browser still sends the page's name as `Host`, which no script can
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
from shared.config.settings import Settings, is_loopback
from shared.errors import ForbiddenError, shown
from shared.ports import WILDCARDS

EVERY_HOST: Final = "*"

log = structlog.get_logger(__name__)


class Hosts:
    """The host names that a frontend answers to, with any port."""

    def __init__(self, settings: Settings, address: str | None = None) -> None:
        """`address` is the address that the frontend listens on, if that is not `server.host`.

        Every host is allowed if other machines can reach that address and `server.hosts` is empty.
        """
        configured, own = settings.server.hosts, settings.server.host if address is None else address
        self._names: tuple[str, ...] | None = None
        if EVERY_HOST not in configured and (configured or is_loopback(own)):
            named = [_bare(name) for name in configured] + ([] if own in WILDCARDS else [own.lower()])
            self._names = tuple(dict.fromkeys((*LOOPBACK_NAMES, *named)))

    def check(self, hosts: Iterable[str]) -> None:
        """Raise ForbiddenError unless every `Host` header of a request is a name that this frontend answers to.

        A request without one does not come from a browser: browsers always send it.
        """
        if self._names is None:
            return
        for host in hosts:
            found = host_of(f"//{host.strip()}")
            if found is None or not any(_matches(found[0].rstrip("."), name) for name in self._names):
                log.warning("host_rejected", host=host[:200])
                allowed = ", ".join(f"[{name}]" if ":" in name else name for name in self._names)
                raise ForbiddenError(
                    f"The service does not answer to the host {shown(host)}; allowed: {allowed}. "
                    "The setting server.hosts adds others, such as the name that a proxy forwards: "
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
    """The same form as `host_of` returns: lower case, an IPv6 address without brackets."""
    return re.sub(r"^\[(.*)\]$", r"\1", name.lower())


def _matches(host: str, name: str) -> bool:
    return host.endswith(name[1:]) if name.startswith("*.") else host == name
