"""Thousands of sessions that one gateway starts and another one resumes: `python -m tests.chaos.resumption`.

Each session writes 12 s of audio at once, reads two events, is detached, and is resumed by a gateway that has just
been started. The echo engine answers at once, so this tests how writer, reader, engine thread and subscription wake
each other. Prints each session that timed out or missed an event. Part of `make soak`.
"""

import argparse
import asyncio
import logging
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import structlog

from frontend.process import FrontendProcess
from frontend.sessions.gateway import Gateway
from shared.errors import VoxtralError
from shared.events import SAMPLE_RATE_HZ
from shared.session_options import SessionOptions
from tests.integration.workers import SECOND, redis_alone, until, workers_are
from tests.stack import START_TIMEOUT_S, Stack

SESSIONS: Final = 2000
AT_ONCE: Final = 8
SPOKEN_S: Final = 12
"""More than a segment of the echo engine: there is a final before the audio ends."""
PATIENCE_S: Final = 30.0
"""A session takes less than a second. If one takes longer than this, something was lost."""


class Resumption:
    """Sessions on a service that has Redis and a worker of the echo engine."""

    def __init__(self, service: Stack) -> None:
        self._service = service
        self.complaints: list[str] = []
        self.refusals: Counter[str] = Counter()
        """Sessions that were rejected with an error, by code: a busy machine may not answer in time."""

    async def run(self, sessions: int, at_once: int = AT_ONCE) -> None:
        """So many sessions; `complaints` has a line for each that missed an event or timed out."""
        numbers = iter(range(sessions))
        async with FrontendProcess.running(self._service.settings, "soak") as frontend, asyncio.TaskGroup() as group:
            await until(lambda: workers_are(frontend.registry, 1), START_TIMEOUT_S)
            for _ in range(at_once):
                group.create_task(self._repeat(frontend.gateway, numbers))

    async def _repeat(self, gateway: Gateway, numbers: Iterator[int]) -> None:
        for number in numbers:
            steps = _Steps()
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await self._session(gateway, steps)
            except VoxtralError as error:
                self.refusals[error.code] += 1
            except Exception as error:  # noqa: BLE001 -- every error of a session is reported
                self.complaints.append(f"session {number} ({steps.session_id}) at {steps.at}: {error!r}")
                print(self.complaints[-1], flush=True)

    async def _session(self, gateway: Gateway, steps: "_Steps") -> None:
        session = await gateway.open(SessionOptions(partials=False))
        steps.session_id, steps.at = session.id, "its first final"
        for _ in range(SPOKEN_S):
            await session.write(SECOND)
        source = session.events()
        seen = [(await anext(source)).wire for _ in range(2)]
        session.detach()
        steps.at = "resume"
        async with FrontendProcess.running(self._service.settings, "other") as other:
            resumed = await other.gateway.resume(session.id, session.resume_token, seen[-1]["seq"])
            assert resumed.audio_received_samples == SPOKEN_S * SAMPLE_RATE_HZ
            steps.at = "its end"
            await resumed.write(SECOND)
            await resumed.finish()
            events = [event.wire async for event in resumed.events()]
        assert [event["seq"] for event in events[1:]] == list(range(3, events[-1]["seq"] + 1)), events
        assert events[-1].get("duration") == SPOKEN_S + 1, events


class _Steps:
    """The step that a session has reached."""

    session_id = ""
    at = "open"


async def resumption(sessions: int) -> int:
    with tempfile.TemporaryDirectory() as folder, redis_alone(Path(folder), model={"slots": 2 * AT_ONCE}) as service:
        service.spawn("worker")
        running, started_s = Resumption(service), time.monotonic()
        await running.run(sessions)
    took_s, complaints = time.monotonic() - started_s, len(running.complaints)
    print(f"resumed     {sessions} sessions in {took_s:.0f} s, {complaints} complaints")
    print("refused     " + (", ".join(f"{count} × {code}" for code, count in running.refusals.items()) or "none"))
    return 1 if running.complaints else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=SESSIONS)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    return asyncio.run(resumption(parser.parse_args().sessions))


if __name__ == "__main__":
    sys.exit(main())
