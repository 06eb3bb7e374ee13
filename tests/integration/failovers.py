"""What tests of several Redis servers have in common: a service on them, and what its sessions left in the log."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from frontend.process import FrontendProcess
from frontend.sessions.session import Session
from shared.bus import keys
from shared.bus.connect import connect
from shared.bus.registry import Registry
from shared.config.settings import Settings
from shared.session_options import SessionOptions
from tests.integration.workers import SECOND, assert_whole, events_of, until
from tests.stack import START_TIMEOUT_S, Stack


@asynccontextmanager
async def served(service: Stack) -> AsyncIterator[FrontendProcess]:
    """A frontend, when a worker of the service is announced."""
    service.spawn("worker")
    async with FrontendProcess.running(service.settings, "test") as frontend:
        await until(lambda: has_workers(frontend.registry), START_TIMEOUT_S)
        yield frontend


async def has_workers(registry: Registry) -> bool:
    return bool(await registry.workers())


async def logged(settings: Settings, session: Session) -> list[dict[str, Any]]:
    redis = connect(settings)
    try:
        return [json.loads(fields[b"e"]) for _, fields in await redis.xrange(keys.events(session.id))]
    finally:
        await redis.aclose()


async def has_said(settings: Settings, sessions: list[Session], count: int = 2) -> bool:
    """Whether the log of each session has so many events; `ready` is one."""
    return all([len(await logged(settings, session)) >= count for session in sessions])


async def assert_serves(service: Stack) -> None:
    """Transcribe a second in a new session, whole; then stop the service."""
    try:
        async with served(service) as frontend:
            session = await frontend.gateway.open(SessionOptions())
            await session.write(SECOND)
            await session.finish()
            assert_whole(await events_of(session), 1.0)
    finally:
        service.stop_all()
