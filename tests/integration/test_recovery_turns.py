"""Turn detection across a change of workers: the settings stay, and the turns are those of an undisturbed session."""

import asyncio
import signal
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from frontend.sessions.session import Session
from shared.events import SAMPLE_RATE_HZ
from shared.session_options import SessionOptions
from shared.turn_detection import TurnDetection
from tests.integration.workers import Fleet, events_of, redis_alone, until
from tests.speech import SENTENCES, silence, synthesise
from tests.stack import Stack

WHOLE, LONG = synthesise(SENTENCES[15]), synthesise(SENTENCES[2])
INSIDE = len(LONG) * 6 // 10
BEFORE = np.concatenate([silence(0.3), WHOLE, silence(1.5), LONG[:INSIDE], silence(0.5)])
"""A turn, and half of another one, with a pause inside the sentence."""
AFTER = np.concatenate([silence(0.5), LONG[INSIDE:], silence(4.5), WHOLE, silence(1.5)])
WINDOW_S = 0.033
"""The windows of the VAD begin at the checkpoint of the new owner."""
DETECTION = TurnDetection("semantic", eagerness="medium")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with redis_alone(tmp_path_factory.mktemp("recovery-turns"), model={"slots": 2}) as stack:
        yield stack


async def write(session: Session, pcm: np.ndarray) -> None:
    samples = (pcm * 32767).astype("<i2")
    for start in range(0, len(samples), SAMPLE_RATE_HZ // 10):
        await session.write(samples[start : start + SAMPLE_RATE_HZ // 10].tobytes())


def of_turns(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What clients learn about turns and segments."""
    names = ("type", "segment", "start", "end", "decided_at", "reason")
    return [
        {name: event[name] for name in names if name in event}
        for event in events
        if event["type"] in ("final", "turn_ended", "done")
    ]


async def test_new_owner_ends_the_same_turns(fleet: Fleet) -> None:
    await fleet.start("second")
    undisturbed = await fleet.gateway.open(SessionOptions(turn_detection=DETECTION))
    await fleet.start("first")
    disturbed = await fleet.gateway.open(SessionOptions(turn_detection=DETECTION))
    assert await fleet.is_owned_by(disturbed, "first")
    sessions = (undisturbed, disturbed)
    hearing = [asyncio.create_task(events_of(session)) for session in sessions]
    for session in sessions:
        await write(session, BEFORE)

    async def is_in_second_turn() -> bool:
        return [event["type"] for event in await fleet.log(disturbed)].count("turn_ended") == 1

    await until(is_in_second_turn)
    fleet.signal("first", signal.SIGKILL)
    await until(lambda: fleet.is_owned_by(disturbed, "second"))
    for session in sessions:
        await write(session, AFTER)
        await session.finish()
    expected, found = (of_turns(events) for events in await asyncio.gather(*hearing))
    assert [event["type"] for event in expected] == [*["final", "turn_ended"] * 3, "done"]
    assert found == [
        {
            name: pytest.approx(value, abs=WINDOW_S) if isinstance(value, float) else value
            for name, value in event.items()
        }
        for event in expected
    ]
