"""What a new owner learns of a session's past, from a real Redis."""

from typing import Any

import numpy as np
from redis.asyncio import Redis

from shared.bus import keys
from worker.engines.base import SettledWord
from worker.history import read_history

SAMPLES = np.arange(1, 16_001, dtype="<i2")
FINALS: list[dict[str, Any]] = [
    {"text": "One, two.", "words": [{"text": "One,", "end": 0.2}, {"text": "two.", "end": 0.5}]},
    {"text": "三四", "words": [{"text": "三", "end": 0.6}, {"text": "四", "end": 0.7}]},
]


async def written(redis: Redis, *bounds: tuple[int, int]) -> None:
    """Entries that hold the samples between two positions."""
    for start, end in bounds:
        await redis.xadd(keys.audio("s"), {"a": SAMPLES[start:end].tobytes(), "t": 0}, id=f"{end}-0")


async def history(redis: Redis, checkpoint: int, window: int) -> Any:
    return await read_history(redis, "s", checkpoint_samples=checkpoint, window_samples=window, finals=FINALS)


async def test_history_is_the_audio_just_before_the_checkpoint(redis: Redis) -> None:
    await written(redis, (0, 1600), (1600, 3200), (3200, 4800))
    await redis.xadd(keys.audio("s"), {"c": "commit"}, id="4800-1")
    await written(redis, (4800, 6400))
    found, pcm = await history(redis, checkpoint=5000, window=2000)
    assert found.start_samples == 3000
    assert (pcm * 32768).tolist() == SAMPLES[3000:5000].tolist()


async def test_history_begins_where_audio_is_retained_without_a_gap(redis: Redis) -> None:
    await written(redis, (0, 1000), (2000, 3000), (3000, 4000))
    found, pcm = await history(redis, checkpoint=4000, window=10_000)
    assert (found.start_samples, len(pcm)) == (2000, 2000)


async def test_no_history_where_nothing_reaches_the_checkpoint(redis: Redis) -> None:
    assert await history(redis, checkpoint=4000, window=2000) is None
    await written(redis, (0, 1000), (1000, 2000))
    assert await history(redis, checkpoint=4000, window=4000) is None


async def test_words_are_those_of_the_window_with_the_spaces_before_them(redis: Redis) -> None:
    await written(redis, (0, 16_000))
    found, _ = await history(redis, checkpoint=16_000, window=16_000)
    assert found.words == (
        SettledWord(" One,", 3200),
        SettledWord(" two.", 8000),
        SettledWord(" 三", 9600),
        SettledWord("四", 11_200),
    )
    found, _ = await history(redis, checkpoint=16_000, window=7000)
    assert [word.text for word in found.words] == [" 三", "四"]
