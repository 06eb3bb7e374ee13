"""How live an engine is, without Redis and sockets: `python -m tests.bench.engine_live --streams 1 4 8`.

Streams of synthesised speech arrive on a virtual clock in real time; the clock moves on by the measured time of each
step, so a minute of pauses costs nothing and a busy machine shows as a slower engine. Latencies count from the true
end of each word. That is found per sentence: the reference text is force-aligned to the sentence's own audio,
and each end is moved back to where the sound really stops.

`--clock cpu` counts, for each step, the processor time of all threads together where that is less than wall time: on a
machine that others use too it leaves out most of their share, and never assumes that threads ran side by side.
"file mode" is the same engine without partials, so it cuts the audio at the same places as the live runs.
"""

import argparse
import difflib
import itertools
import re
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from shared.events import SAMPLE_RATE_HZ, SessionOptions
from tests.speech import SENTENCES, silence, synthesise
from worker.engines.base import Final, Finished, Output, Partial
from worker.engines.whisper.engine import WhisperEngine, WhisperSettings, load

CHUNK_SAMPLES = 320
STAGGER_S = 1.3
"""Streams start apart, so that their pauses do not fall together."""
SPELLINGS = {
    "0": "zero", "1": "one", "2": "two", "3": "three", "4": "four", "5": "five", "6": "six", "7": "seven",
    "8": "eight", "9": "nine", "10": "ten", "20": "twenty", "30": "thirty", "neighbors": "neighbours",
    "harbor": "harbour", "traveling": "travelling", "secondhand": "second hand",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Script:
    """One stream: its audio, and its words with where each truly ends."""

    pcm: NDArray[np.float32]
    words: list[str]
    ends_samples: list[int]


@dataclass(slots=True)
class Screen:
    """What a viewer of one stream has seen: the shown words of each segment over time."""

    shown: dict[int, list[tuple[float, list[str]]]] = field(default_factory=dict)
    finals: dict[int, list[str]] = field(default_factory=dict)
    finished_s: float = 0.0
    done: bool = False

    def take(self, now_s: float, output: Output) -> None:
        if isinstance(output, Partial | Final):
            self.shown.setdefault(output.segment, []).append((now_s, normalised(output.text)))
        if isinstance(output, Final):
            self.finals[output.segment] = normalised(output.text)
            self.finished_s = now_s
        self.done = self.done or isinstance(output, Finished)


@dataclass(frozen=True, slots=True)
class Measured:
    first_ms: list[float]
    stable_ms: list[float]
    retracted: int
    errors: int
    words: int


def normalised(text: str) -> list[str]:
    words = re.sub(r"[^\w\s']", " ", text.casefold().replace("-", " ")).split()
    return " ".join(SPELLINGS.get(word, word) for word in words).split()


def script(engine: WhisperEngine, offset: int, minutes: float) -> Script:
    """Sentences from `offset` on, in a ring, with pauses of 0.35 to 1.2 s."""
    generator = np.random.default_rng(offset)
    parts, words, ends, position = [silence(0.5)], [], [], SAMPLE_RATE_HZ // 2
    index = offset
    while position < minutes * 60 * SAMPLE_RATE_HZ:
        text = SENTENCES[index % len(SENTENCES)]
        pcm = synthesise(text)
        pause = silence(generator.uniform(0.35, 1.2))
        spoken = normalised(text)
        words += spoken
        ends += [position + end for end in word_ends(engine, pcm, text, len(spoken))]
        parts += [pcm, pause]
        position += len(pcm) + len(pause)
        index += 1
    return Script(np.concatenate(parts), words, ends)


def word_ends(engine: WhisperEngine, pcm: NDArray[np.float32], text: str, count: int) -> list[int]:
    """Forced alignment of the reference, each end moved back over what is 45 dB below the sentence's peak."""
    timed = engine._decoder.timed_reference(pcm, text, "en")
    envelope = np.abs(pcm[: len(pcm) // 160 * 160].reshape(-1, 160)).max(axis=1)
    audible = envelope > envelope.max() * 10 ** (-45 / 20)
    ends = []
    for word in timed:
        frames = np.flatnonzero(audible[word.start_samples // 160 : word.end_samples // 160])
        end = word.start_samples + (frames[-1] + 1) * 160 if len(frames) else word.end_samples
        ends += [int(end)] * len(normalised(word.text))
    assert len(ends) == count, (text, timed)
    return ends


class Clock:
    """How long a step of the engine takes, by the wall or by the processor."""

    def __init__(self, engine: WhisperEngine, kind: str) -> None:
        self._engine = engine
        self._by_cpu = kind == "cpu"

    def timed_step(self) -> tuple[list[tuple[str, Output]], float]:
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        outputs = self._engine.step()
        wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
        return outputs, min(cpu_s, wall_s) if self._by_cpu else wall_s


def play(
    engine: WhisperEngine, clock: Clock, scripts: list[Script], options: SessionOptions
) -> tuple[list[Screen], float, float]:
    """All streams in real time on a virtual clock. Returns what was seen, seconds of steps, and of the clock."""
    screens = [Screen() for _ in scripts]
    starts_s = [index * STAGGER_S for index in range(len(scripts))]
    fed = [0] * len(scripts)
    finished = [False] * len(scripts)
    for index in range(len(scripts)):
        engine.open(str(index), options)
    now_s = busy_s = 0.0
    while not all(screen.done for screen in screens):
        for index, one in enumerate(scripts):
            arrived = int((now_s - starts_s[index]) * SAMPLE_RATE_HZ) // CHUNK_SAMPLES * CHUNK_SAMPLES
            arrived = min(max(arrived, 0), len(one.pcm))
            if arrived > fed[index]:
                engine.feed(str(index), one.pcm[fed[index] : arrived])
                fed[index] = arrived
            if arrived >= len(one.pcm) // CHUNK_SAMPLES * CHUNK_SAMPLES and not finished[index]:
                engine.finish(str(index))
                finished[index] = True
        if not engine.ready():
            now_s += CHUNK_SAMPLES / SAMPLE_RATE_HZ
            continue
        outputs, spent_s = clock.timed_step()
        now_s, busy_s = now_s + spent_s, busy_s + spent_s
        for key, output in outputs:
            screens[int(key)].take(now_s - starts_s[int(key)], output)
    for index in range(len(scripts)):
        engine.close(str(index))
    return screens, busy_s, now_s


def measured(one: Script, screen: Screen) -> Measured:
    final = [
        (segment, place, word) for segment in sorted(screen.finals) for place, word in enumerate(screen.finals[segment])
    ]
    matcher = difflib.SequenceMatcher(None, one.words, [word for _, _, word in final], autojunk=False)
    first_ms, stable_ms, matched = [], [], 0
    for block in matcher.get_matching_blocks():
        matched += block.size
        for step in range(block.size):
            end_s = one.ends_samples[block.a + step] / SAMPLE_RATE_HZ
            segment, place, word = final[block.b + step]
            first_s, stable_s = appearance(screen.shown[segment], place, word)
            first_ms.append((first_s - end_s) * 1000)
            stable_ms.append((stable_s - end_s) * 1000)
    retracted = sum(
        lost_words(before, after)
        for history in screen.shown.values()
        for (_, before), (_, after) in itertools.pairwise(history)
    )
    return Measured(first_ms, stable_ms, retracted, edits(one.words, [word for _, _, word in final]), len(one.words))


def appearance(history: list[tuple[float, list[str]]], place: int, word: str) -> tuple[float, float]:
    """When the word first stood in its place, and since when it has stood there for good."""
    there = [(at_s, len(words) > place and words[place] == word) for at_s, words in history]
    first_s = next(at_s for at_s, right in there if right)
    stable_s = there[-1][0]
    for at_s, right in reversed(there):
        if not right:
            break
        stable_s = at_s
    return first_s, stable_s


def lost_words(before: list[str], after: list[str]) -> int:
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    return len(before) - sum(block.size for block in matcher.get_matching_blocks())


def edits(reference: list[str], hypothesis: list[str]) -> int:
    row = list(range(len(hypothesis) + 1))
    for index, wanted in enumerate(reference, 1):
        diagonal, row[0] = row[0], index
        for column, found in enumerate(hypothesis, 1):
            diagonal, row[column] = row[column], min(row[column] + 1, row[column - 1] + 1, diagonal + (wanted != found))
    return row[-1]


def word_error_rate(sentences: Sequence[str], text: str) -> float:
    reference = normalised(" ".join(sentences))
    return edits(reference, normalised(text)) / len(reference)


def final_latency_ms(engine: WhisperEngine, clock: Clock, repeats: int = 10) -> list[float]:
    """Time from `finish`, called with the last sample of a sentence, to its final."""
    latencies = []
    for index in range(repeats):
        one = synthesise(SENTENCES[index])
        screens, _, now_s = play(engine, clock, [Script(one, [], [])], SessionOptions())
        latencies.append((max(screens[0].finished_s, now_s) - len(one) / SAMPLE_RATE_HZ) * 1000)
    return latencies


def quantiles(values: list[float]) -> str:
    return f"{np.quantile(values, 0.5):5.0f}/{np.quantile(values, 0.95):5.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--minutes", type=float, default=2.5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="fields of WhisperSettings")
    arguments = parser.parse_args()
    changed = {
        name: float(value) if "." in value else int(value) for name, value in (s.split("=") for s in arguments.set)
    }
    engine = load(threads=arguments.threads, slots=max(arguments.streams), settings=WhisperSettings(**changed))
    engine.warm_up()
    clock = Clock(engine, arguments.clock)
    scripts = [script(engine, 5 * index, arguments.minutes) for index in range(max(arguments.streams))]
    [offline], _, _ = play(engine, clock, scripts[:1], SessionOptions(partials=False, words=False))
    reference = measured(scripts[0], offline)
    print(f"file mode  WER {100 * reference.errors / reference.words:.1f} %")
    for streams in arguments.streams:
        screens, busy_s, clock_s = play(engine, clock, scripts[:streams], SessionOptions())
        results = [measured(one, screen) for one, screen in zip(scripts, screens, strict=False)]
        words = sum(result.words for result in results)
        print(
            f"{streams:2} streams  WER {100 * sum(result.errors for result in results) / words:.1f} %"
            f"  first p50/p95 {quantiles([ms for result in results for ms in result.first_ms])} ms"
            f"  stable {quantiles([ms for result in results for ms in result.stable_ms])} ms"
            f"  retracted {100 * sum(result.retracted for result in results) / words:.1f}/100"
            f"  busy {100 * busy_s / clock_s:.0f} %"
        )
    print(f"final after finish {quantiles(final_latency_ms(engine, clock))} ms")
    print(f"RSS at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB")


if __name__ == "__main__":
    main()
