"""Committed text across a change of workers in mid-sentence, with a model whose partials commit: never taken back."""

import signal
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from frontend.sessions.session import Session
from shared.bus import keys
from shared.events import SAMPLE_RATE_HZ
from shared.session_options import SessionOptions
from tests.integration.workers import Fleet, events_of, redis_alone, until
from tests.stack import Stack
from tests.tiny import scenes
from tests.tiny.engine import ENOUGH_SLOTS
from worker.commitment import Commitment
from worker.engines.registry import REALTIME

CHECKPOINT = Path(scenes.__file__).parent / "voxtral_realtime"
SPOKEN = scenes.scene(5, ["seven", "left", "three", "open", "nine", "stop"], gap_s=(0.1, 0.2), lead_s=0.2, trail_s=1.5)
PCM = (np.clip(SPOKEN.audio, -1, 1) * 32767).astype("<i2")
MIDDLE = SPOKEN.words[3].start_samples
"""The first three words have been spoken."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    model = {"name": REALTIME, "path": str(CHECKPOINT), "device": "cpu", "threads": 1, "slots": ENOUGH_SLOTS}
    with redis_alone(tmp_path_factory.mktemp("recovery-commits"), model=model) as stack:
        yield stack


async def speak(session: Session, start_samples: int, end_samples: int) -> None:
    for start in range(start_samples, end_samples, SAMPLE_RATE_HZ // 10):
        await session.write(PCM[start : min(start + SAMPLE_RATE_HZ // 10, end_samples)].tobytes())


async def begun(fleet: Fleet) -> Session:
    """A session whose first words have been committed, with the rest of the sentence still to come."""
    session = await fleet.gateway.open(SessionOptions(delay_ms=160))
    await speak(session, 0, MIDDLE)
    await until(lambda: has_committed(fleet, session, words=2))
    return session


async def has_committed(fleet: Fleet, session: Session, words: int) -> bool:
    last = (await fleet.log(session))[-1]
    return last["type"] == "partial" and len(last["committed"]["text"].split()) >= words


async def ended(session: Session) -> list[dict[str, Any]]:
    """All events of a session whose sentence is spoken to its end."""
    await speak(session, MIDDLE, len(PCM))
    await session.finish()
    return await events_of(session)


def assert_nothing_taken_back(events: list[dict[str, Any]]) -> None:
    [final] = [event for event in events if event["type"] == "final"]
    texts = [event["committed"]["text"] for event in events if event["type"] == "partial"]
    assert all(later.startswith(earlier) for earlier, later in pairwise([*texts, final["text"]]))
    assert all(event["text"].startswith(event["committed"]["text"]) for event in events if event["type"] == "partial")


def plain(text: str) -> str:
    return " ".join(word.strip(".,?!").lower() for word in text.split())


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "drained"])
async def test_new_owner_takes_back_nothing_in_mid_sentence(fleet: Fleet, signal_number: int) -> None:
    await fleet.start("first")
    session = await begun(fleet)
    await fleet.start("second")
    fleet.signal("first", signal_number)
    await until(lambda: fleet.is_owned_by(session, "second"))
    events = await ended(session)
    assert_nothing_taken_back(events)
    final = next(event for event in events if event["type"] == "final")
    assert plain(final["text"]) == SPOKEN.text
    assert [plain(word["text"]) for word in final["words"]] == SPOKEN.text.split()
    assert not await fleet.redis.hexists(keys.session(session.id), "committed")


async def test_new_owner_says_what_was_committed_though_it_hears_otherwise(fleet: Fleet) -> None:
    await fleet.start("first")
    session = await begun(fleet)
    await fleet.start("second")
    fleet.signal("first", signal.SIGKILL)
    known = Commitment.decoded(await fleet.redis.hget(keys.session(session.id), "committed"), segment=0)
    assert plain(known.text).startswith("seven left")
    # As if the former owner had heard the first word otherwise.
    told = orjson.loads(known.encoded())
    told[1] = known.text.replace(known.text.split()[0], "Heaven", 1)
    await fleet.redis.hset(keys.session(session.id), "committed", orjson.dumps(told))
    before = len(await fleet.log(session))
    await until(lambda: fleet.is_owned_by(session, "second"))
    events = [event for event in await ended(session) if event["seq"] > before]
    assert_nothing_taken_back(events)
    texts = [event["text"] for event in events if event["type"] in ("partial", "final")]
    assert all(text.startswith("Heaven") for text in texts)
    assert plain(texts[-1]) == SPOKEN.text.replace("seven", "heaven")


LATER = np.roll(PCM, SAMPLE_RATE_HZ // 4)
STEREO = np.stack([PCM, LATER], axis=1)
"""Two channels: the sentence, and the same a quarter of a second later."""


async def test_new_owner_takes_back_nothing_of_either_channel(fleet: Fleet) -> None:
    await fleet.start("first")
    session = await fleet.gateway.open(SessionOptions(delay_ms=160, channels=2))
    await write_frames(session, STEREO[:MIDDLE])
    await until(lambda: have_committed(fleet, session))
    await fleet.start("second")
    fleet.signal("first", signal.SIGKILL)
    await until(lambda: fleet.is_owned_by(session, "second"))
    await write_frames(session, STEREO[MIDDLE:])
    await session.finish()
    events = await events_of(session)
    for channel in (0, 1):
        own = [event for event in events if event.get("channel") == channel]
        assert_nothing_taken_back(own)
        assert len({event["segment"] for event in own if event["type"] in ("partial", "final")}) == 1
        assert [plain(event["text"]) for event in own if event["type"] == "final"] == [SPOKEN.text]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))


async def write_frames(session: Session, frames: Any) -> None:
    for start in range(0, len(frames), SAMPLE_RATE_HZ // 10):
        await session.write(frames[start : start + SAMPLE_RATE_HZ // 10].tobytes())


async def have_committed(fleet: Fleet, session: Session) -> bool:
    log = await fleet.log(session)
    texts = {event["channel"]: event["committed"]["text"] for event in log if "committed" in event}
    return len(texts) == 2 and all(len(text.split()) >= 2 for text in texts.values())
