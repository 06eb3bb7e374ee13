"""How often turns end inside sentences, and how long after them: `python -m tests.bench.turns SPEECH_FOLDER`.

Compares pauses of a fixed length with semantic turn detection, on recordings whose pauses are lengthened
(`turn_material`). Only the VAD, the segmenter and Smart Turn run, and delays are in audio: the model's own time comes
on top. A cut-off is a turn that ends in a pause inside a sentence; the delay runs from the last speech of a
sentence to the end of its turn.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from shared.events import SAMPLES_PER_MS
from shared.turn_detection import Eagerness, TurnDetection
from tests.bench.clips import Clip, clips_or_exit
from tests.bench.turn_material import Lengthened, lengthened
from tests.whisper_engines import load
from worker.engines.speech.boundaries import Closed
from worker.engines.speech.endpointing import Endpointing
from worker.engines.speech.vad import SileroVad
from worker.engines.whisper.settings import LIVE_SEGMENTER
from worker.turns.judge import TurnJudge

COPIES: Final = frozenset({"austen", "gaskell_noise", "lj_five"})
"""Other recordings of the speech that the levels of eagerness were chosen on."""
PAUSES_MS: Final = (200, 544, 800, 1200, 2000)


class AtOnce(Executor):
    """Runs the model in the caller's thread, and measures its processor time."""

    def __init__(self) -> None:
        self.took_ms: list[float] = []

    def submit(self, fn: Any, /, *arguments: Any, **named: Any) -> Future[Any]:
        answer: Future[Any] = Future()
        started_s = time.thread_time()
        answer.set_result(fn(*arguments, **named))
        if arguments:
            self.took_ms.append((time.thread_time() - started_s) * 1000)
        return answer


@dataclass
class Counts:
    inside: int = 0
    cut_off: int = 0
    sentences: int = 0
    delays_ms: list[float] = field(default_factory=list)

    def line(self) -> str:
        delays = np.array(self.delays_ms or [np.nan])
        share = 100 * self.cut_off / max(self.inside, 1)
        return (
            f"{self.cut_off:3} of {self.inside} pauses inside ({share:3.0f} %)  "
            f"delay p50 {np.quantile(delays, 0.5):5.0f}  mean {delays.mean():5.0f}  "
            f"p90 {np.quantile(delays, 0.9):5.0f} ms  ({len(self.delays_ms)} of {self.sentences} ends)"
        )


def ends(one: Lengthened, detection: TurnDetection, vad: SileroVad, judge: TurnJudge) -> Iterator[Closed]:
    """The turns of a recording."""
    endpointing = Endpointing(LIVE_SEGMENTER, 0, detection, judge)
    endpointing.audio.append(one.pcm)
    while endpointing.has_unheard():
        pcm = endpointing.unheard(1000)
        for found in endpointing.hear(vad.probabilities(endpointing.vad_state, pcm)):
            if isinstance(found, Closed):
                yield found


def count(one: Lengthened, closed: list[Closed], counts: Counts) -> None:
    for pause in one.pauses:
        turn = next((end for end in closed if pause.start_samples < end.decided_samples <= pause.end_samples), None)
        if not pause.ends_sentence:
            counts.inside += 1
            counts.cut_off += turn is not None
            continue
        counts.sentences += 1
        if turn is not None:
            counts.delays_ms.append((turn.decided_samples - pause.start_samples) / SAMPLES_PER_MS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", help="recorded speech with a manifest.json")
    parser.add_argument("--tuning", action="store_true", help="the recordings that the levels were chosen on")
    arguments = parser.parse_args()
    clips = [clip for clip in clips_or_exit(arguments.folder) if wanted(clip, is_tuning=arguments.tuning)]
    if not clips:
        which = "was chosen on" if arguments.tuning else "was not chosen on"
        sys.exit(f"{arguments.folder} has no recording that a level {which}.")
    engine = load(threads=1)
    material = [lengthened(clip, engine) for clip in clips]
    print("recordings:", " ".join(clip.id for clip in clips))
    vad, clock = SileroVad(), AtOnce()
    judge = TurnJudge(clock)
    rules = {f"pause {ms} ms": TurnDetection("pause", silence_duration_ms=ms) for ms in PAUSES_MS}
    rules |= {
        f"semantic {level}": TurnDetection("semantic", eagerness=level)
        for level in (Eagerness.HIGH, Eagerness.MEDIUM, Eagerness.LOW)
    }
    for name, detection in rules.items():
        counts = {"all": Counts(), "en": Counts(), "other": Counts()}
        for one in material:
            closed = list(ends(one, detection, vad, judge))
            count(one, closed, counts["all"])
            count(one, closed, counts["en" if one.language == "en" else "other"])
        for group, found in counts.items():
            if found.sentences:
                print(f"{name:16} {group:6} {found.line()}")
    p50, p90 = np.quantile(clock.took_ms or [np.nan], [0.5, 0.9])
    print(f"the model takes {p50:.0f} ms of one core (p50), {p90:.0f} (p90)")


def wanted(clip: Clip, *, is_tuning: bool) -> bool:
    return clip.is_tuned_on if is_tuning else not clip.is_tuned_on and clip.id not in COPIES


if __name__ == "__main__":
    main()
