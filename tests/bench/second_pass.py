"""Whether a second pass delays the finals of live sessions: `SPEECH=folder python -m tests.bench.second_pass`.

Recorded speech goes through the whole service in real time, in rounds with and without `revise`, one after the other.
Latencies are the service's own: from the arrival of a final's last audio to the final.
"""

import argparse
import asyncio
import os
import sys
from dataclasses import dataclass, field

from tests.bench.clips import Clip, clips_or_exit, shortest_untuned
from tests.bench.figures import Figure, machine, percentile, show
from tests.bench.live import spoken
from tests.bench.processes import running
from tests.bench.scoring import edits, normalised


@dataclass(slots=True)
class Heard:
    """The events of all sessions of one kind."""

    latencies_ms: list[float] = field(default_factory=list)
    """Of finals."""
    partial_ms: list[float] = field(default_factory=list)
    revised: int = 0
    waited_s: list[float] = field(default_factory=list)
    """From the last final to `done`."""
    errors: int = 0
    words: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="whisper-base")
    parser.add_argument("--second", default="whisper-base")
    parser.add_argument("--streams", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2, help="with, and as many without `revise`")
    parser.add_argument("--seconds", type=float, default=60.0, help="speech of each stream and round")
    arguments = parser.parse_args()
    clips = shortest_untuned(clips_or_exit(os.environ.get("SPEECH")), arguments.seconds)
    if not clips:
        sys.exit(f"SPEECH has no English clip of up to {arguments.seconds:g} s that no setting was chosen on.")
    print(machine(), flush=True)
    print(", ".join(clip.id for clip in clips), flush=True)
    heard = {False: Heard(), True: Heard()}
    with running({"model": {"name": arguments.model, "second": arguments.second}}) as stack:
        for _ in range(arguments.rounds):
            for revise in (False, True):
                asyncio.run(_round(stack.ws_url, clips, arguments.streams, heard[revise], revise=revise))
    for revise, found in heard.items():
        for figure in _figures(found, "with the second pass" if revise else "without"):
            print(show(figure))


async def _round(url: str, clips: list[Clip], streams: int, heard: Heard, *, revise: bool) -> None:
    async def speak(number: int) -> None:
        await asyncio.sleep(1.3 * number)
        for clip in [*clips[number:], *clips[:number]]:
            await _speak(url, clip, heard, revise=revise)

    async with asyncio.TaskGroup() as speakers:
        for number in range(streams):
            speakers.create_task(speak(number), name=f"speaker-{number}")


async def _speak(url: str, clip: Clip, heard: Heard, *, revise: bool) -> None:
    final_s = 0.0
    async for now_s, event in spoken(url, clip.pcm, language="en", revise=revise):
        match event["type"]:
            case "final":
                heard.latencies_ms.append(event["latency"]["total"])
                final_s = now_s
            case "partial":
                heard.partial_ms.append(event["latency"]["total"])
            case "revised":
                heard.revised += 1
            case "done":
                heard.waited_s.append(now_s - final_s)
                heard.errors += edits(clip.words, normalised(event["text"]))
    heard.words += len(clip.words)


def _figures(heard: Heard, label: str) -> list[Figure]:
    return [
        Figure(f"final, {label}, p50 of {len(heard.latencies_ms)}", percentile(heard.latencies_ms, 0.5), "ms"),
        Figure(f"final, {label}, p95", percentile(heard.latencies_ms, 0.95), "ms"),
        Figure(f"partial, {label}, p50", percentile(heard.partial_ms, 0.5), "ms"),
        Figure(f"partial, {label}, p95", percentile(heard.partial_ms, 0.95), "ms"),
        Figure(f"revised finals, {label}", heard.revised, ""),
        Figure(f"last final to done, {label}, p50", percentile(heard.waited_s, 0.5), "s"),
        Figure(f"word error rate, {label}", 100 * heard.errors / max(1, heard.words), "%"),
    ]


if __name__ == "__main__":
    main()
