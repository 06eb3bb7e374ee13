"""The whole service on this machine's GPU under load: `python -m tests.gpu.serve`. Needs no network.

One service has the published shape of Voxtral Realtime with random weights, in a checkpoint that is laid out as the
published one; a second one, on the same GPU, has the tiny checkpoint that was trained to hear 22 words. Sessions speak
to both in real time. Random weights say something at almost every position, which makes more events than speech does.

With the published weights, `--model-path` names their directory. They then take the place of the random ones, and with
`--speech`, a folder with a manifest.json, they also transcribe recordings. `--device cpu` runs everything narrow.
"""

import argparse
import asyncio
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.bench.clips import Clip, SpeechFolderError, load_clips
from tests.bench.figures import percentile
from tests.bench.processes import allow_open_files
from tests.bench.scoring import edits, normalised
from tests.gpu.cards import WEIGHTS_BYTES
from tests.gpu.devices import NO_DEVICE, add_device, chosen_device
from tests.gpu.report import Report, about, table
from tests.gpu.services import Watch, running
from tests.gpu.speakers import Outcome, Seen, long_scenes, speak, speak_all
from tests.gpu.speech_checks import MOST_WORD_ERRORS
from tests.published import realtime
from tests.stack import Stack
from tests.tiny.checkpoint import DIRECTORY
from tests.tiny.scenes import Scene
from worker.engines.registry import REALTIME

RESULT: Final = Path("build/gpu-serve.json")
SCENES: Final = 8
SCENE_WORDS: Final = 12
AT_ONCE: Final = 8
"""Recordings that are transcribed at the same time."""
SPARE_DISK: Final = 1.1


@dataclass(frozen=True, slots=True)
class Serving:
    name: str
    sessions: int
    knows_words: bool
    """Whether it was trained to hear the scenes' words."""
    stack: Stack


def main(given: Sequence[str] | None = None) -> int:
    parser = _parser()
    arguments = parser.parse_args(given)
    if arguments.speech and not (arguments.model_path and arguments.sessions):
        parser.error("--speech needs --model-path, and --sessions of at least 1: random weights hear no words")
    device = chosen_device(arguments.device)
    if device is None:
        return NO_DEVICE
    try:
        clips = load_clips(str(arguments.speech)) if arguments.speech else []
    except SpeechFolderError as error:
        print(f"--speech: {error}.", file=sys.stderr)
        return NO_DEVICE
    report = Report(arguments.result, about(device))
    print("\n".join(f"{name}: {value}" for name, value in report.about.items()))
    spoken = long_scenes(
        SCENES if arguments.seconds > 20 else 2, min(SCENE_WORDS, 1 + arguments.seconds), arguments.seconds
    )
    allow_open_files()
    with ExitStack() as held:
        services: list[Serving] = []
        with report.part("services start"):
            services += _services(held, arguments, str(device))
        if services:
            with report.part(f"{sum(one.sessions for one in services)} sessions"):
                asyncio.run(_load(report, services, spoken, arguments.ramp))
        if clips and services:
            with report.part("recordings"):
                asyncio.run(_recordings(report, services[-1].stack, clips))
    return report.conclude()


def _services(held: ExitStack, arguments: argparse.Namespace, device: str) -> Iterator[Serving]:
    """The small one first: the other then takes what memory is left."""
    if arguments.tiny_sessions:
        tiny = {"name": REALTIME, "path": str(DIRECTORY), "device": device, "threads": 1}
        stack = held.enter_context(running(tiny | {"slots": arguments.tiny_sessions}))
        yield Serving("tiny checkpoint", arguments.tiny_sessions, knows_words=True, stack=stack)
    if arguments.sessions:
        path = arguments.model_path or held.enter_context(_random_weights(device))
        model = {"name": REALTIME, "path": str(path), "device": device, "text_window": arguments.text_window}
        slots = arguments.slots or (arguments.sessions if device == "cpu" else None)
        stack = held.enter_context(running(model | {"slots": slots} | ({"threads": 1} if device == "cpu" else {})))
        name = "model.path" if arguments.model_path else "random weights"
        yield Serving(name, arguments.sessions, knows_words=arguments.model_path is not None, stack=stack)


@contextmanager
def _random_weights(device: str) -> Iterator[Path]:
    """A checkpoint of the published layout: of its shape on a GPU, narrow on a CPU."""
    with tempfile.TemporaryDirectory() as folder:
        on_gpu = device != "cpu"
        sparse = on_gpu and shutil.disk_usage(folder).free < SPARE_DISK * WEIGHTS_BYTES
        if sparse:
            print(
                f"{folder} has no room for {WEIGHTS_BYTES / 1e9:.1f} GB: all weights are 0, and the model says nothing."
            )
        config = realtime.CONFIG if on_gpu else realtime.small_config()
        yield realtime.write_checkpoint(Path(folder), config, sparse=sparse)


async def _load(report: Report, services: Sequence[Serving], spoken: Sequence[Scene], ramp_s: float) -> None:
    watches = [Watch(one.stack) for one in services]
    following = [asyncio.create_task(watch.follow()) for watch in watches]
    try:
        seen = await asyncio.gather(*(speak_all(one.stack.ws_url, spoken, one.sessions, ramp_s) for one in services))
    finally:
        for task in following:
            task.cancel()
    rows = []
    for one, watch, clients in zip(services, watches, seen, strict=True):
        one.stack.check_alive()
        rows.append({"service": one.name} | _figures(one, clients, spoken) | watch.figures())
        _check(report, one, clients, rows[-1])
        report.measured("services", rows[-1])
    print(table([{name: value for name, value in row.items() if name != "passes"} for row in rows]))


def _figures(one: Serving, clients: Sequence[Seen], spoken: Sequence[Scene]) -> dict[str, Any]:
    count = {outcome: sum(client.outcome is outcome for client in clients) for outcome in Outcome}
    done = [(client, scene) for client, scene in _heard(clients, spoken) if client.outcome is Outcome.DONE]
    audio_s = sum(len(scene.audio) / 16_000 for _, scene in done)
    event_ms = [value for client in clients for value in client.event_ms]
    server_ms = [value for client in clients for value in client.server_ms]
    word_ms = [value for client, scene in done for value in _word_ms(client, scene)] if one.knows_words else []
    words = sum(len(scene.words) for _, scene in done)
    errors = sum(edits(normalised(scene.text), normalised(client.text)) for client, scene in done)
    return {
        "sessions": len(clients),
        **{str(outcome): number for outcome, number in count.items()},
        "events/s": round(sum(client.events for client, _ in done) / audio_s, 1) if done else None,
        "event p50 ms": _rounded(event_ms, 0.5),
        "event p99 ms": _rounded(event_ms, 0.99),
        "server p50 ms": _rounded(server_ms, 0.5),
        "server p99 ms": _rounded(server_ms, 0.99),
        "word p50 ms": _rounded(word_ms, 0.5),
        "word p99 ms": _rounded(word_ms, 0.99),
        "WER %": round(100 * errors / words, 2) if one.knows_words and words else None,
        "client ms": round(max((client.behind_ms for client in clients), default=0.0), 1),
    }


def _check(report: Report, one: Serving, clients: Sequence[Seen], row: dict[str, Any]) -> None:
    reasons = sorted({client.reason for client in clients if client.outcome is Outcome.FAILED})
    found = f"{row['failed']} of {len(clients)} failed" + "".join(f"; {reason}" for reason in reasons[:5])
    report.expect(f"{one.name}: no session fails", not reasons and not row["failed"], expected="none", found=found)
    slots = row.get("slots")
    if slots is not None:
        most = max(0, len(clients) - slots)
        name = f"{one.name}: sessions are refused only when all {slots} slots are taken"
        report.expect(name, row["refused"] <= most, expected=f"at most {most}", found=f"{row['refused']} were refused")
    if one.name == "tiny checkpoint" and row["WER %"] is not None:
        name = f"{one.name}: words are heard"
        errors = row["WER %"] / 100
        found = f"{errors:.2%}"
        report.expect(name, errors <= MOST_WORD_ERRORS, expected=f"a WER of {MOST_WORD_ERRORS:.0%}", found=found)


async def _recordings(report: Report, stack: Stack, clips: Sequence[Clip]) -> None:
    """Each recording as a live session of its language, sent as fast as it is taken."""
    room = asyncio.Semaphore(AT_ONCE)

    async def transcribed(clip: Clip) -> Seen:
        async with room:
            return await speak(stack.ws_url, clip.pcm, in_real_time=False, language=clip.language)

    seen = await asyncio.gather(*(transcribed(clip) for clip in clips))
    rows: list[dict[str, Any]] = []
    for clip, client in zip(clips, seen, strict=True):
        errors = edits(clip.words, normalised(client.text, clip.language))
        row = {"clip": clip.id, "group": str(clip.group), "language": clip.language, "words": len(clip.words)}
        row |= {"errors": errors, "WER %": round(100 * errors / len(clip.words), 1), "outcome": str(client.outcome)}
        rows.append(row)
        report.measured("recordings", row | {"text": client.text})
    print(table(rows))
    groups = [{"group": group} | _total([row for row in rows if row["group"] == group]) for group in _groups(rows)]
    print(table(groups))
    for group in groups:
        report.measured("recordings by group", group)
    failed = [f"{clip.id}: {client.reason}" for clip, client in zip(clips, seen, strict=True) if client.reason]
    found = "; ".join(failed) or f"all {len(clips)} were transcribed"
    report.expect("recordings are transcribed", not failed, expected="all", found=found)


def _groups(rows: Sequence[dict[str, Any]]) -> list[str]:
    return sorted({row["group"] for row in rows})


def _total(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    words, errors = (sum(row[name] for row in rows) for name in ("words", "errors"))
    return {"clips": len(rows), "words": words, "errors": errors, "WER %": round(100 * errors / words, 2)}


def _heard(clients: Sequence[Seen], spoken: Sequence[Scene]) -> list[tuple[Seen, Scene]]:
    """Each client with what it spoke; see `speak_all`."""
    return [(client, spoken[number % len(spoken)]) for number, client in enumerate(clients)]


def _word_ms(client: Seen, scene: Scene) -> list[float]:
    """From the end of each word's sound to when it was shown, if all words were heard rightly."""
    if normalised(client.text) != normalised(scene.text) or len(client.shown_s) != len(scene.words):
        return []
    return [
        1000 * (shown_s - word.end_samples / 16_000) for word, shown_s in zip(scene.words, client.shown_s, strict=True)
    ]


def _rounded(values: Sequence[float], quantile: float) -> float | None:
    return round(percentile(values, quantile), 1) if values else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.gpu.serve", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_device(parser)
    parser.add_argument("--sessions", type=int, default=100, help="with the published shape; 0 leaves it out")
    parser.add_argument("--tiny-sessions", type=int, default=10, help="with the tiny checkpoint; 0 leaves it out")
    parser.add_argument("--seconds", type=int, default=60, help="how long each session speaks, at least")
    parser.add_argument("--ramp", type=float, default=5.0, help="seconds within which the sessions begin")
    parser.add_argument("--slots", type=int, help="model.slots of the published shape; default: what fits")
    parser.add_argument("--text-window", type=int, default=2048, help="model.text_window of the published shape")
    parser.add_argument("--model-path", type=Path, help="directory of the published weights")
    parser.add_argument("--speech", type=Path, help="folder of recordings with a manifest.json; needs --model-path")
    parser.add_argument("--result", type=Path, default=RESULT, help=f"where the JSON is written; default {RESULT}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
