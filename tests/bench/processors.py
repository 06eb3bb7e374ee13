"""Accuracy as on other processors: recorded speech in child processes that use fewer instructions, and in float32.

Arithmetic differs between instruction sets, in int8 most of all. Live streams run with steps of one fixed length, so
that the speed of a processor changes nothing.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from shared.session_options import SessionOptions
from tests.bench.clips import Group, load_clips
from tests.bench.figures import Figure
from tests.bench.scoring import edits, normalised
from tests.bench.screen import Measured, Script, measured
from tests.bench.transcripts import transcribe_recording
from tests.bench.virtual_time import Clock, play
from tests.whisper_engines import load
from worker.engines.whisper.settings import WhisperSettings

FLAGS = {"GENERIC": "", "AVX2": "avx2", "AVX512": "avx512bw"}
"""What CT2_FORCE_CPU_ISA may say here, with what /proc/cpuinfo calls it; CTranslate2 does not work without SSE 4.1."""
LIBRARIES = {
    "GENERIC": {"ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2"},
    "AVX2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
    "AVX512": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE", "MKL_ENABLE_INSTRUCTIONS": "AVX512"},
}
"""The same for the libraries that multiply its matrices. AVX512 is without VNNI here, which sums int8 differently."""
THREADS = 2


def spread(folder: str) -> list[Figure]:
    """Error rates of recordings and of live speech by way to compute, and the most that they differ by."""
    found: dict[str, dict[str, float]] = {}
    for name, (compute_type, variables) in _ways().items():
        command = [sys.executable, "-m", "tests.bench.processors", folder, "--compute-type", compute_type]
        answer = subprocess.run(command, env=os.environ | variables, stdout=subprocess.PIPE, text=True, check=True)
        found[name] = json.loads(answer.stdout.splitlines()[-1])
        print(f"{name:<16}", "  ".join(f"{kind} {value:.2f} %" for kind, value in found[name].items()), flush=True)
    figures = []
    for kind in next(iter(found.values())):
        values = [one[kind] for one in found.values()]
        figures.append(Figure(f"WER {kind}, largest over smallest", max(values) - min(values), "points"))
    return figures


def _ways() -> dict[str, tuple[str, dict[str, str]]]:
    """The compute type and the environment of each child."""
    flags = Path("/proc/cpuinfo").read_text().split()
    ways = {
        f"int8, {name}": ("int8", {"CT2_FORCE_CPU_ISA": name} | LIBRARIES[name])
        for name, flag in FLAGS.items()
        if not flag or flag in flags
    }
    return ways | {"int8, as it is": ("int8", {}), "float32": ("float32", {})}


def error_percents(folder: str, compute_type: str) -> dict[str, float]:
    """Of recordings and of one live stream, by group."""
    engine = load(threads=THREADS, slots=1, compute_type=compute_type, settings=WhisperSettings(load_share=0.0))
    engine.warm_up()
    clips = load_clips(folder)
    scripts = [Script(clip.pcm, clip.words, [None] * len(clip.words), clip.language) for clip in clips]
    options = [SessionOptions(language=clip.language) for clip in clips]
    screens, _, _ = play(engine, Clock(engine, "fixed"), scripts, options, streams=1)
    percents: dict[str, float] = {}
    for group in Group:
        members = [index for index, clip in enumerate(clips) if clip.group == group]
        if not members:
            continue
        file, live = Measured(), Measured()
        for index in members:
            clip = clips[index]
            text = transcribe_recording(engine, clip.pcm, clip.language).text
            file.add(Measured(edits(clip.words, normalised(text, clip.language)), len(clip.words)))
            live.add(measured(scripts[index], screens[index]))
        percents |= {f"of recordings, {group}": file.error_percent, f"live, {group}": live.error_percent}
    return percents


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--compute-type", required=True)
    arguments = parser.parse_args()
    print(json.dumps(error_percents(arguments.folder, arguments.compute_type)))


if __name__ == "__main__":
    main()
