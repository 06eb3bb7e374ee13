"""One round of chaos: sessions that speak, faults at random moments, and what was lost."""

import asyncio
import contextlib
import itertools
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import jiwer
import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.bus import keys
from shared.bus.connect import connect
from tests.chaos.cluster import Cluster, leftovers, until
from tests.chaos.faults import FAULTS, Scene
from tests.chaos.speakers import Speaker
from tests.limits import limit_s
from tests.tiny import scenes
from tests.wire import wire_to

WORDS = 16
"""Sentences of most sessions: about 20 s of speech."""
FAULT_TIMEOUT_S = 90.0
START_TIMEOUT_S = 30.0
SPEAK_TIMEOUT_S = 150.0
CLEAN_TIMEOUT_S = 60.0
RETRY_PAUSE_S = 0.2


@dataclass
class Outcome:
    faults: list[str]
    sessions: int
    words: int = 0
    words_lost: int = 0
    words_doubled: int = 0
    silences_s: list[float] = field(default_factory=list)
    """For each fault, the longest time without an event of any session while it lasted."""
    complaints: list[str] = field(default_factory=list)
    """Errors as sentences. Empty if there are none."""


async def run_round(
    cluster: Cluster, fault_names: Sequence[str], sessions: int, seed: int, *, words: int = WORDS
) -> Outcome:
    """Speak during the faults, inject one after the other, and check the results."""
    outcome = Outcome(list(fault_names), sessions)
    async with contextlib.AsyncExitStack() as stack:
        wires = [await stack.enter_async_context(wire_to(port)) for port in cluster.frontend_ports.values()]
        urls = [wire.url for wire in wires]
        speakers = [
            Speaker(f"{seed}-{number}", scenes.scene(1000 * seed + number, words), _turned(urls, number))
            for number in range(sessions)
        ]
        undisturbed = await asyncio.gather(*(speaker.undisturbed() for speaker in speakers))
        redis = await stack.enter_async_context(connect(cluster.stack.settings))
        speaking = [
            asyncio.create_task(_speak_and_judge(speaker, outcome, redis), name=speaker.name) for speaker in speakers
        ]
        await until(_all_started(speakers, speaking), "all sessions have begun", START_TIMEOUT_S)
        spans_s = await _inject(Scene(cluster, wires, speakers, random.Random(seed)), fault_names)
        async with asyncio.timeout(limit_s(SPEAK_TIMEOUT_S)):
            ended = await asyncio.gather(*speaking, return_exceptions=True)
    for speaker, result in zip(speakers, ended, strict=True):
        if isinstance(result, BaseException):
            outcome.complaints.append(f"session {speaker.name}: {type(result).__name__}: {result}")
    _count_words(outcome, speakers, undisturbed)
    heard_at_s = [speaker.heard_at_s for speaker in speakers]
    outcome.silences_s = [max(longest_silence_s(times_s, *span_s) for times_s in heard_at_s) for span_s in spans_s]
    return outcome


async def judge_cleanliness(cluster: Cluster) -> list[str]:
    """Complaints about remaining data of ended sessions; waits for their keys to expire."""
    redis = connect(cluster.stack.settings)
    try:
        await until(lambda: _is_clean(redis), "nothing is left in Redis", CLEAN_TIMEOUT_S)
    except AssertionError:
        return [f"left in Redis: {', '.join(await leftovers(redis))}"]
    finally:
        await redis.aclose()
    return []


async def _is_clean(redis: Any) -> bool:
    return not await leftovers(redis)


async def _inject(scene: Scene, names: Sequence[str]) -> list[tuple[float, float]]:
    """When each fault began and ended (monotonic clock)."""
    spans_s = []
    for name in names:
        await asyncio.sleep(scene.random.uniform(1, 3))
        began_s = time.monotonic()
        async with asyncio.timeout(limit_s(FAULT_TIMEOUT_S)):
            await FAULTS[name](scene)
        spans_s.append((began_s, time.monotonic()))
    return spans_s


def _all_started(speakers: Sequence[Speaker], speaking: Sequence["asyncio.Task[None]"]) -> Any:
    async def started() -> bool:
        for task in speaking:
            if task.done():
                task.result()
        return all(speaker.session_id for speaker in speakers)

    return started


def _turned(urls: Sequence[str], number: int) -> tuple[str, ...]:
    """Every other session begins at the other frontend."""
    first = number % len(urls)
    return (*urls[first:], *urls[:first])


def _count_words(outcome: Outcome, speakers: Sequence[Speaker], undisturbed: Sequence[str]) -> None:
    """Compare with the result of the same speech without faults."""
    for speaker, expected in zip(speakers, map(plain, undisturbed), strict=True):
        heard = plain(speaker.text or "")
        compared = jiwer.process_words(expected, heard or "-")
        outcome.words += len(expected.split())
        outcome.words_lost += compared.deletions + compared.substitutions
        outcome.words_doubled += compared.insertions
        if heard != expected:
            outcome.complaints.append(f"session {speaker.name}: undisturbed {expected!r}, heard {heard!r}")
        if speaker.out_of_order:
            outcome.complaints.append(f"session {speaker.name}: {speaker.out_of_order} events out of order")


def longest_silence_s(heard_at_s: Sequence[float], began_s: float, ended_s: float) -> float:
    """The longest time between two events of a session that lies, at least partly, between two moments."""
    gaps = itertools.pairwise(heard_at_s)
    return max((later - earlier for earlier, later in gaps if earlier < ended_s and later > began_s), default=0.0)


async def _speak_and_judge(speaker: Speaker, outcome: Outcome, redis: Redis) -> None:
    """Check a whole session and its log: `seq` counts 1, 2, 3, … and its finals are successive."""
    await speaker.speak()
    entries = await _log(speaker.session_id, redis)
    seqs = [int(entry_id.partition(b"-")[0]) for entry_id, _ in entries]
    if not seqs or seqs != list(range(1, len(seqs) + 1)):
        outcome.complaints.append(f"session {speaker.name}: the log's seq has gaps or repeats")
    finals = [event for _, fields in entries if (event := orjson.loads(fields[b"e"]))["type"] == "final"]
    if [final["segment"] for final in finals] != list(range(len(finals))):
        outcome.complaints.append(f"session {speaker.name}: segments {[final['segment'] for final in finals]}")
    if [final["text"] for final in finals] != [final.text for final in speaker.finals]:
        outcome.complaints.append(f"session {speaker.name}: the client's finals are not the log's")


async def _log(session_id: str, redis: Redis) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """The log of a session, read early, since the next fault may affect Redis."""
    async with asyncio.timeout(limit_s(FAULT_TIMEOUT_S)):
        while True:
            with contextlib.suppress(RedisError, OSError):
                return await redis.xrange(keys.events(session_id))
            await asyncio.sleep(RETRY_PAUSE_S)


def plain(text: str) -> str:
    """Only the words, in lower case."""
    return " ".join("".join(mark for mark in text.lower() if mark.isalnum() or mark == " ").split())
