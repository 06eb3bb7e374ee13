"""Measures who-spoke-when on conversations: `python -m tests.bench.speakers SPEECH_FOLDER`.

The folder has a `manifest.json` (see `clips`) and the recordings that `PLANS` names; `--clips` names others, each of a
speaker of its own. They become conversations with known turns, a quarter of which overlap (see `conversations`).
Whisper transcribes these as recordings, on this machine and without a service, and the labels of its words are scored
(see `diarization`). Words that are unsure count as missed.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from shared.events import SAMPLE_RATE_HZ
from shared.session_options import SessionOptions
from tests.bench.clips import Clip, clips_or_exit
from tests.bench.conversations import Conversation, composed
from tests.bench.diarization import Errors, Turn, errors
from tests.engine_sessions import finals, heard
from tests.whisper_engines import load
from worker.engines.whisper.engine import WhisperEngine
from worker.speakers.finals import SessionSpeakers
from worker.speakers.model import SpeakerModel
from worker.speakers.outputs import Released
from worker.speakers.tracker import Tracker

CHUNK_SAMPLES = SAMPLE_RATE_HZ // 10
JOINED_S = 0.5
"""Words of one speaker with a shorter pause between them are one turn."""
COLLARS_S = (0.0, 0.25)


@dataclass(frozen=True)
class Plan:
    clips: tuple[str, ...]
    by_telephone: bool
    is_tuned_on: bool = False


PLANS = (
    Plan(("lj_five", "gaskell"), by_telephone=True, is_tuned_on=True),
    Plan(("gaskell", "demo_talk", "austen"), by_telephone=False, is_tuned_on=True),
    Plan(("lj_five", "demo_talk", "austen", "gaskell"), by_telephone=True, is_tuned_on=True),
    Plan(("sonnet1", "book_es"), by_telephone=False),
    Plan(("sonnet2", "book_es"), by_telephone=True),
    Plan(("pv_it", "pv_pt"), by_telephone=True),
    Plan(("sonnet3", "book_es", "pv_fr"), by_telephone=False),
    Plan(("pv_it", "pv_fr", "ae_pl"), by_telephone=True),
    Plan(("sonnet1", "book_es", "pv_pt", "libri_1995"), by_telephone=False),
    Plan(("sonnet2", "pv_it", "pv_fr", "ae_ja"), by_telephone=True),
)
"""Thresholds were chosen on recordings of the first ones; no speaker of these is in the others."""
SECONDS = 60.0


@dataclass
class Outcome:
    conversation: Conversation
    labels: int
    by_collar: tuple[Errors, ...]
    unsure_percent: float
    """Of the words."""
    late: int
    """Finals whose labels an event has changed later."""
    cpu_s: float
    """For the speakers alone."""


def measured(engine: WhisperEngine, model: SpeakerModel, conversation: Conversation) -> Outcome:
    """Transcribe a conversation, label its words, and score them."""
    pcm = conversation.pcm
    outputs = finals(heard(engine, pcm, SessionOptions(diarize=True, recording=True), SAMPLE_RATE_HZ))
    tracker, session = model.tracker(8, 0), SessionSpeakers()
    words: dict[int, list[tuple[float, float, str | None]]] = {}
    late, at = 0, 0
    started_s = time.thread_time()
    for final in outputs:
        at = feed(model, tracker, pcm, at, final.heard_samples)
        for window in tracker.ends_before(final.end_samples):
            tracker.learn(window, model.encoder.embed([window.pcm])[0])
        labelled = tracker.label(final.segment, final.start_samples, final.end_samples)
        spoken = session.final(final, Released(final, 0.0, 0, labelled.labelling, labelled.state), with_words=True)
        words[final.segment] = [
            (word.start_samples / SAMPLE_RATE_HZ, word.end_samples / SAMPLE_RATE_HZ, word.speaker)
            for word in spoken.words
        ]
        for said in session.changed(labelled.changed):
            late += 1
            former = words[said.segment]
            words[said.segment] = [(start, end, name) for (start, end, _), name in zip(former, said.words, strict=True)]
    cpu_s = time.thread_time() - started_s
    flat = [word for segment in sorted(words) for word in words[segment]]
    turns = turns_of(flat)
    return Outcome(
        conversation,
        len({turn.speaker for turn in turns}),
        tuple(errors(conversation.turns, turns, collar_s) for collar_s in COLLARS_S),
        100 * sum(name is None for *_, name in flat) / max(1, len(flat)),
        late,
        cpu_s,
    )


def feed(model: SpeakerModel, tracker: Tracker, pcm: object, start: int, end: int) -> int:
    """Give the tracker the audio between two positions, in pieces as they arrive."""
    for at in range(start, end, CHUNK_SAMPLES):
        windows = tracker.feed(pcm[at : min(end, at + CHUNK_SAMPLES)])  # type: ignore[index]
        for window, vector in zip(windows, model.encoder.embed([one.pcm for one in windows]), strict=True):
            tracker.learn(window, vector)
    return max(start, end)


def turns_of(words: Sequence[tuple[float, float, str | None]]) -> list[Turn]:
    """The turns that the labels of words make."""
    turns: list[Turn] = []
    for start_s, end_s, name in words:
        if name is None:
            continue
        if turns and turns[-1].speaker == name and start_s - turns[-1].end_s < JOINED_S:
            turns[-1] = Turn(name, turns[-1].start_s, max(end_s, turns[-1].end_s))
        else:
            turns.append(Turn(name, start_s, end_s))
    return turns


def of_clips(names: Sequence[str]) -> tuple[Plan, ...]:
    return tuple(Plan(tuple(names), by_telephone=by_telephone) for by_telephone in (False, True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--clips", nargs="+", metavar="ID", help="recordings that become a conversation")
    arguments = parser.parse_args()
    plans = PLANS if arguments.clips is None else of_clips(arguments.clips)
    clips = {clip.id: clip for clip in clips_or_exit(arguments.folder)}
    if missing := {one for plan in plans for one in plan.clips} - clips.keys():
        sys.exit(f"{arguments.folder} lacks {', '.join(sorted(missing))}; --clips names those to use.")
    engine, model = load(threads=2, slots=1), SpeakerModel(None, None)
    names = ("speakers", "labels", "DER", "0.25 s", "missed", "false", "wrong", "unsure", "late", "CPU")
    print(" ".join(f"{name:>8}" for name in names) + "  conversation")
    totals = {True: [Errors() for _ in COLLARS_S], False: [Errors() for _ in COLLARS_S]}
    for number, plan in enumerate(plans):
        outcome = measured(engine, model, _composed(plan, clips, number))
        total = totals[plan.is_tuned_on]
        totals[plan.is_tuned_on] = [one + other for one, other in zip(total, outcome.by_collar, strict=True)]
        _print(outcome, len(plan.clips))
    for is_tuned_on, total in totals.items():
        if is_tuned_on not in {plan.is_tuned_on for plan in plans}:
            continue
        figures = " ".join(f"{one.percent:7.1f}%" for one in total)
        about = "thresholds were chosen on these speakers" if is_tuned_on else "other speakers"
        print(f"{'':>8} {'all':>8} {figures}  {about}, {total[0].speech:.0f} s of speech")


def _composed(plan: Plan, clips: dict[str, Clip], seed: int) -> Conversation:
    name = ", ".join(plan.clips) + (", by telephone" if plan.by_telephone else "")
    recordings = {one: clips[one].pcm for one in plan.clips}
    return composed(name, recordings, seconds=SECONDS, seed=seed, by_telephone=plan.by_telephone)


def _print(outcome: Outcome, speakers: int) -> None:
    whole = outcome.by_collar[0]
    parts = [whole.percent_of(seconds) for seconds in (whole.missed, whole.false_alarm, whole.confused)]
    cpu_percent = 100 * outcome.cpu_s * SAMPLE_RATE_HZ / len(outcome.conversation.pcm)
    percentages = [*(one.percent for one in outcome.by_collar), *parts, outcome.unsure_percent]
    print(
        f"{speakers:>8} {outcome.labels:>8} " + " ".join(f"{one:7.1f}%" for one in percentages),
        f"{outcome.late:>8} {cpu_percent:7.1f}%  {outcome.conversation.name}",
        flush=True,
    )


if __name__ == "__main__":
    main()
