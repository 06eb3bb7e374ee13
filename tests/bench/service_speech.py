"""Recorded speech through the whole service, over WebSocket in real time: a subset of the clips, on every stream."""

import asyncio
from collections.abc import Sequence

from tests.bench.clips import shortest_untuned
from tests.bench.figures import Figure
from tests.bench.live import stream
from tests.bench.processes import WHISPER, running
from tests.bench.screen import Measured, Script, measured
from tests.bench.speech_results import STREAMS, Result, live_figures
from tests.bench.virtual_time import STAGGER_S

SUBSET_S = 100.0
"""Each stream speaks no more than this, so 1, 4 and 8 streams take five minutes."""


def measure(scripts: Sequence[tuple[Result, Script]]) -> list[Figure]:
    """The shortest English clips that no setting was chosen on, as many as fit."""
    by_id = {one[0].clip.id: one for one in scripts}
    chosen = [by_id[clip.id] for clip in shortest_untuned((result.clip for result, _ in scripts), SUBSET_S)]
    if not chosen:
        print("real-speech --service is skipped: no English clip is left that no setting was chosen on.", flush=True)
        return []
    words = sum(len(result.clip.words) for result, _ in chosen)
    offline_percent = 100 * sum(result.offline_errors for result, _ in chosen) / words
    found = [Figure("WER offline, English, subset for the service", offline_percent, "%")]
    with running(WHISPER) as stack:
        for streams in STREAMS:
            total = asyncio.run(_spoken(stack.ws_url, [script for _, script in chosen], streams))
            found.append(Figure(f"WER live through the service, {streams} at a time", total.error_percent, "%"))
            found += live_figures(total, streams, "through the service")
    return found


async def _spoken(url: str, scripts: Sequence[Script], streams: int) -> Measured:
    """Every stream speaks all scripts one after the other, each stream beginning with another one."""
    total = Measured()

    async def speak(number: int) -> None:
        await asyncio.sleep(number * STAGGER_S)
        first = number % len(scripts)
        for script in [*scripts[first:], *scripts[:first]]:
            screen = await stream(url, script.pcm, language=script.language)
            total.add(measured(script, screen))

    async with asyncio.TaskGroup() as speakers:
        for number in range(streams):
            speakers.create_task(speak(number), name=f"speaker-{number}")
    return total
