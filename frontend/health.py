"""Health endpoints for operators: `python -m frontend.health`.

`/health`: this process is alive. `/ready`: whether a session would be accepted now: 200, or 503 with the reason.
`/status`: the full state, as JSON. `/metrics`: the same for Prometheus, with totals of the whole service. `/`: the page
of operators. Everything is read from Redis, never from a worker itself, and is answered within a second or two even if
Redis hangs.
"""

import asyncio
import sys
import time
from typing import Any

import uvloop
from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from redis.asyncio import Redis
from starlette.types import Scope

from frontend.access.hosts import HostGuard, Hosts
from frontend.access.operators import Operators
from frontend.monitoring import operator_api
from frontend.monitoring.monotone import Monotone
from frontend.monitoring.process_metrics import ProcessUse
from frontend.monitoring.prometheus import prometheus_text
from frontend.monitoring.status import REDIS_DEADLINE_S, full_status, take_snapshot, take_totals
from frontend.servers.http import serve_http
from frontend.servers.tls import server_context
from shared.bus.connect import connect_to
from shared.bus.registry import process_id
from shared.config.settings import Settings
from shared.entry import run_process
from shared.errors import ForbiddenError
from shared.process import resources
from shared.tasks import end_all
from shared.version import VERSION


def create_app(settings: Settings, redis: Redis, operators: Operators, broker: Redis | None = None) -> FastAPI:
    """`broker` is the Redis of Celery's queues, if it is another one."""
    app = FastAPI(title="Voxtral health", version=VERSION, docs_url=None, redoc_url=None)
    app.add_middleware(HostGuard, hosts=Hosts(settings), refuse=_refusal_of_host)
    started_at = time.time()
    own_id = process_id()
    monotone = Monotone()

    @app.get("/health")
    async def health() -> dict[str, Any]:
        return {"status": "ok", "version": VERSION, "uptime_s": round(time.time() - started_at, 1)}

    @app.get("/ready")
    async def ready(response: Response) -> dict[str, Any]:
        snapshot = await take_snapshot(redis, broker)
        obstacle = snapshot.obstacle(settings)
        if obstacle:
            response.status_code = 503
            return {"status": "not_ready", "reason": obstacle}
        return {"status": "ready", "slots_free": snapshot.slots_free}

    @app.get("/status")
    async def status() -> dict[str, Any]:
        return full_status(await take_snapshot(redis, broker), settings)

    @app.get("/metrics")
    async def metrics() -> Response:
        taken, held = await asyncio.gather(take_snapshot(redis, broker), take_totals(redis))
        snapshot = monotone.newest(taken)
        text = prometheus_text(
            snapshot.workers,
            snapshot.frontends,
            redis_up=snapshot.redis_ms is not None,
            ready=snapshot.obstacle(settings) is None,
            totals=None if held is None else monotone.totals(held),
            own=[ProcessUse(own_id, "health", started_at, resources())],
            senders=snapshot.senders,
        )
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    app.include_router(operator_api.routes(settings, redis, operators, broker))
    return app


def _refusal_of_host(error: ForbiddenError, _scope: Scope) -> Response:
    return JSONResponse({"detail": error.message}, status_code=403)


def main(settings: Settings) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    operators = Operators(settings.access)
    redis, *brokers = [connect_to(one, reply_timeout_s=REDIS_DEADLINE_S) for one in settings.stores]
    watch = asyncio.create_task(operators.run(), name="operators")
    try:
        await serve_http(
            create_app(settings, redis, operators, *brokers),
            host=settings.server.host,
            port=settings.server.health_port,
            port_setting="server.health_port",
            tls=server_context(settings),
        )
    finally:
        await end_all([watch])
        for one in (redis, *brokers):
            await one.aclose()


if __name__ == "__main__":
    sys.exit(run_process(main, "health"))
