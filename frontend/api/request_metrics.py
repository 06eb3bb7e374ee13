"""Counts HTTP requests by method, route and status, and measures how long their responses take.

The labels have few values, whatever clients send: the template of a route instead of the path, and one value for all
unknown methods. WebSockets are not counted here; see `voxtral_frontend_connections`.
"""

import time
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.metrics.families import HTTP_DURATION, HTTP_REQUESTS
from shared.metrics.metrics import Metrics

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER_METHOD: Final = "other"
NO_ROUTE: Final = "/*"
"""The page's files, unknown addresses, and requests that are rejected before they reach a route."""
GONE: Final = 499
"""The status of a request whose client disconnected before the response, as nginx logs it."""
FAILED: Final = 500


class RequestMetrics:
    """ASGI middleware. It must be the outermost one, to see the statuses that the others send."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began_s = time.perf_counter()
        status = GONE

        async def send_observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_observed)
        except Exception:
            status = FAILED
            raise
        finally:
            self._observe(scope, status, time.perf_counter() - began_s)

    def _observe(self, scope: Scope, status: int, took_s: float) -> None:
        method = scope["method"] if scope["method"] in METHODS else OTHER_METHOD
        route = getattr(scope.get("route"), "path", NO_ROUTE)
        self._metrics.counter(HTTP_REQUESTS, method, route, str(status)).add()
        self._metrics.histogram(HTTP_DURATION, method, route).observe(took_s)
