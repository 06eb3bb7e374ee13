"""What a new owner learns of a session's past, from a real Redis."""

from typing import Any

import numpy as np
import pytest
from redis.asyncio import Redis

from shared.bus import keys
from shared.events import Word
from worker.commitment import Commitment
from worker.engines.base import SettledWord
from worker.takeover import read_history

SAMPLES = np.arange(1, 16_001, dtype="<i2")
FINALS: list[dict[str, Any]] = [
    {"text": "One, two.", "words": [{"text": "One,", "end": 0.2}, {"text": "two.", "end": 0.5}]},
    {"text": "三四", "words": [{"text": "三", "end": 0.6}, {"text": "四", "end": 0.7}]},
]


async def written(redis: Redis, *bounds: tuple[int, int]) -> None:
    """Entries that hold the samples between two positions."""
    for start, end in bounds:
        await redis.xadd(keys.audio("s"), {"a": SAMPLES[start:end].tobytes(), "t": 0}, id=f"{end}-0")


COMMITTED = Commitment(2, "five", (Word("five", 16_500, 18_000),), 16_000, 20_000)


async def history(redis: Redis, checkpoint: int, window: int) -> Any:
    return await read_history(
        redis, "s", checkpoint_samples=checkpoint, window_samples=window, finals=FINALS, committed=COMMITTED
    )


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


async def test_history_begins_at_the_checkpoint_where_no_audio_reaches_it(redis: Redis) -> None:
    for bounds, window in [([], 2000), ([(0, 1000), (1000, 2000)], 4000), ([(2000, 5000)], 0)]:
        await written(redis, *bounds)
        found, pcm = await history(redis, checkpoint=4000, window=window)
        assert (found.start_samples, found.words, len(pcm)) == (4000, (), 0)


@pytest.mark.parametrize("window", [0, 2000])
async def test_history_tells_what_was_committed_with_and_without_audio(redis: Redis, window: int) -> None:
    await written(redis, (0, 16_000))
    found, pcm = await history(redis, checkpoint=16_000, window=window)
    assert (found.committed_text, found.committed) == ("five", (Word("five", 16_500, 18_000),))
    assert len(pcm) == window


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


async def test_history_of_a_channel_is_that_of_its_track(redis: Redis) -> None:
    frames = SAMPLES.reshape(-1, 2)
    for start, end in ((0, 800), (800, 1600), (1600, 2400)):
        await redis.xadd(keys.audio("s"), {"a": frames[start:end].tobytes(), "t": 0}, id=f"{end}-0")
    for channel in (0, 1):
        found, pcm = await read_history(
            redis,
            "s",
            checkpoint_samples=2000,
            window_samples=1500,
            finals=(),
            committed=COMMITTED,
            channel=channel,
            channels=2,
        )
        assert found.start_samples == 500
        assert (pcm * 32768).tolist() == frames[500:2000, channel].tolist()


async def test_history_has_no_words_up_to_a_revised_final(redis: Redis) -> None:
    """The model did not write them, so it would not find them in the audio."""
    await written(redis, (0, 16_000))
    revised = [FINALS[0] | {"revised_seq": 9}, *FINALS[1:]]
    found, _ = await read_history(
        redis, "s", checkpoint_samples=16_000, window_samples=16_000, finals=revised, committed=COMMITTED
    )
    assert [word.text for word in found.words] == [" 三", "四"]
