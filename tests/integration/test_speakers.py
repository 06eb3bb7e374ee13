"""Who speaks, through the service: live, after a loss of the worker, and with known speakers."""

import asyncio
import signal
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from frontend.sessions.session import Session
from shared.bus import keys
from shared.bus.voices import embed, store_voices
from shared.errors import InvalidFieldError
from shared.events import SAMPLE_RATE_HZ
from shared.session_options import KnownSpeaker, SessionOptions
from tests.integration.workers import Fleet, events_of, redis_alone, until
from tests.speech import SENTENCES, silence
from tests.stack import Stack
from tests.two_voices import Floats, high, low, pcm_of

LIVE = SessionOptions(diarize=True, partials=False)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with redis_alone(tmp_path_factory.mktemp("speakers"), model={"slots": 2}, session={"retention_s": 30}) as stack:
        yield stack


async def say(session: Session, speech: Floats, number: int) -> None:
    await session.write(pcm_of(np.concatenate([speech, silence(0.4)])))
    await session.commit(number=number)


async def are_labelled(fleet: Fleet, session: Session, count: int) -> bool:
    """Whether so many finals have their speaker: a label that is late is lost with the worker."""
    return sum(speaker is not None for speaker in speakers_in(await fleet.log(session))) == count


async def has_label(fleet: Fleet, session: Session) -> bool:
    return any("speaker" in str(event) for event in await fleet.log(session))


async def are_deleted(fleet: Fleet, session: Session) -> bool:
    return not await fleet.redis.exists(keys.voices(session.id))


def speakers_in(events: list[dict[str, Any]]) -> list[str | None]:
    """Of each final, as the last event says it: on a busy machine some labels come after their final."""
    found: dict[int, str | None] = {}
    for event in events:
        if event["type"] == "final":
            found[event["segment"]] = event.get("speaker")
        for later in event.get("segments", ()):
            found[later["segment"]] = later.get("speaker")
    return list(found.values())


async def test_new_owner_of_a_session_continues_its_labels(fleet: Fleet) -> None:
    await fleet.start("first")
    session = await fleet.gateway.open(LIVE)
    await say(session, low(SENTENCES[0]), 1)
    await say(session, high(SENTENCES[1]), 2)
    await until(lambda: are_labelled(fleet, session, 2))
    await fleet.start("second")
    fleet.signal("first", signal.SIGKILL)
    await say(session, low(SENTENCES[2]), 3)
    await say(session, high(SENTENCES[3]), 4)
    await session.finish(number=5)
    events = await events_of(session)
    assert speakers_in(events) == ["A", "B", "A", "B"]
    assert await fleet.redis.hget(keys.session(session.id), "speakers") is None, "voices are deleted with the session"


async def test_channels_have_speakers_of_their_own_for_a_new_owner_too(fleet: Fleet) -> None:
    await fleet.start("first")
    session = await fleet.gateway.open(replace(LIVE, channels=2))
    await say_both(session, low(SENTENCES[0]), high(SENTENCES[1]), 1)
    await until(lambda: are_labelled(fleet, session, 2))
    await fleet.start("second")
    fleet.signal("first", signal.SIGKILL)
    await say_both(session, low(SENTENCES[2]), high(SENTENCES[3]), 2)
    await session.finish(number=3)
    events = await events_of(session)
    channels = [event["channel"] for event in events if event["type"] == "final"]
    assert sorted(zip(channels, speakers_in(events), strict=True)) == [(0, "0A")] * 2 + [(1, "1A")] * 2


async def say_both(session: Session, first: Floats, second: Floats, number: int) -> None:
    length = max(len(first), len(second))
    tracks = [np.concatenate([one, silence(0.4 + (length - len(one)) / SAMPLE_RATE_HZ)]) for one in (first, second)]
    shortest = min(map(len, tracks))
    await session.write(pcm_of(np.stack([one[:shortest] for one in tracks], axis=1)))
    await session.commit(number=number)


async def test_known_speaker_is_named_and_its_audio_deleted(fleet: Fleet) -> None:
    options = SessionOptions(diarize=True, partials=False, known_speakers=(KnownSpeaker("Ann"),))
    await fleet.start("worker")
    fleet.signal("worker", signal.SIGSTOP)  # a frontend stores the audio before it dispatches the session
    opening = asyncio.create_task(fleet.gateway.open(options))
    await until(lambda: fleet.redis.keys("voxtral:{*}:audio"))
    (audio_key,) = await fleet.redis.keys("voxtral:{*}:audio")
    await store_voices(fleet.redis, keys.session_of(audio_key), {"Ann": pcm_of(high(SENTENCES[4]))})
    fleet.signal("worker", signal.SIGCONT)
    session = await opening
    await say(session, low(SENTENCES[0]), 1)
    await say(session, high(SENTENCES[1]), 2)
    await until(lambda: are_deleted(fleet, session))
    await session.finish(number=3)
    assert speakers_in(await events_of(session)) == ["A", "Ann"]


async def test_session_without_a_model_gets_one_warning_and_no_speakers(fleet: Fleet) -> None:
    await fleet.start("worker", VOXTRAL_SPEAKERS__MODEL_PATH="/nowhere/model.onnx")
    session = await fleet.gateway.open(LIVE)
    for number in (1, 2):
        await say(session, low(SENTENCES[number]), number)
    await session.finish(number=3)
    events = await events_of(session)
    assert [event["code"] for event in events if event["type"] == "warning"] == ["diarize_unavailable"]
    assert speakers_in(events) == [None, None]


async def test_speakers_can_be_asked_for_and_given_up_in_a_session(fleet: Fleet) -> None:
    await fleet.start("worker")
    session = await fleet.gateway.open(replace(LIVE, diarize=None))
    await say(session, low(SENTENCES[0]), 1)
    await session.configure(LIVE, number=2)
    await say(session, low(SENTENCES[1]), 3)
    await until(lambda: has_label(fleet, session))
    await session.configure(replace(LIVE, diarize=False), number=4)
    await say(session, low(SENTENCES[2]), 5)
    await session.finish(number=6)
    assert speakers_in(await events_of(session)) == [None, "A", None]


async def test_worker_embeds_a_voice_on_request(fleet: Fleet) -> None:
    await fleet.start("worker")
    (report,) = await fleet.registry.workers()
    assert report.speaker_model == "ge2e"
    assert (await embed(fleet.redis, report.id, pcm_of(low(SENTENCES[0])))).startswith("ge2e:")
    with pytest.raises(InvalidFieldError, match="at least 1 s of speech"):
        await embed(fleet.redis, report.id, pcm_of(silence(2.0)))
