"""The operators' page of the health port, and its API.

`GET /operator/state`: what the page shows. `DELETE /operator/sessions/{id}` ends a session, and
`POST /operator/workers/{id}/drain` drains a worker; both are sent to the worker over Redis.
"""

from pathlib import Path
from typing import Any, Final

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, JSONResponse
from redis.asyncio import Redis
from redis.exceptions import RedisError
from starlette.responses import Response

from frontend.access.operators import Operators
from frontend.monitoring.operator_view import OperatorView
from shared.bus.operation import request_drain, request_end
from shared.config.settings import Settings
from shared.errors import ForbiddenError, UnauthorizedError

FRONTEND_DIR: Final = Path(__file__).parent.parent
FILES: Final = {
    "/": ("operator-page/index.html", "text/html"),
    "/operator/page.js": ("operator-page/page.js", "text/javascript"),
    "/operator/tables.js": ("operator-page/tables.js", "text/javascript"),
    "/operator/page.css": ("operator-page/page.css", "text/css"),
    "/operator/colours.css": ("static/colours.css", "text/css"),
}
HEADERS: Final = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-cache",
}

log = structlog.get_logger(__name__)


def routes(settings: Settings, redis: Redis, operators: Operators, broker: Redis | None) -> APIRouter:
    """`broker` is the Redis of Celery's queues, if it is another one."""
    router = APIRouter()
    view = OperatorView(settings, redis, broker)

    @router.get("/operator/state")
    async def state(request: Request) -> Response:
        try:
            operators.check_reader(request)
        except (ForbiddenError, UnauthorizedError) as error:
            return _refusal(error)
        return _json({**await view.read(), "can_change": operators.key_needed})

    @router.delete("/operator/sessions/{session_id}")
    async def end(request: Request, session_id: str) -> Response:
        return await _change(request, request_end, "session", session_id)

    @router.post("/operator/workers/{worker_id}/drain")
    async def drain(request: Request, worker_id: str) -> Response:
        return await _change(request, request_drain, "worker", worker_id)

    async def _change(request: Request, change: Any, kind: str, id_: str) -> Response:
        try:
            operator = operators.check_operator(request)
            found = await change(redis, id_)
        except (ForbiddenError, UnauthorizedError) as error:
            return _refusal(error)
        except (RedisError, OSError):
            return _json({"detail": "Redis does not answer; nothing has been changed."}, 503)
        if not found:
            return _json({"detail": f"No running {kind} has this id."}, 404)
        log.info("operator_request_sent", operator=operator, kind=kind, id=id_)
        return _json({"status": "requested"}, 202)

    for path, (name, media_type) in FILES.items():
        router.add_api_route(path, _file_of(FRONTEND_DIR / name, media_type), methods=["GET", "HEAD"])
    return router


def _file_of(path: Path, media_type: str) -> Any:
    async def file() -> Response:
        return FileResponse(path, media_type=media_type, headers=HEADERS)

    return file


def _refusal(error: ForbiddenError | UnauthorizedError) -> Response:
    return _json({"detail": error.message}, 401 if isinstance(error, UnauthorizedError) else 403)


def _json(content: dict[str, Any], status: int = 200) -> Response:
    return JSONResponse(content, status, headers={**HEADERS, "cache-control": "no-store"})
