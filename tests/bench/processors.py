"""Accuracy as on other processors: recordings in child processes that use fewer instructions, and in float32.

Arithmetic differs between instruction sets, in int8 most of all. Live speech is not measured: in int8, ONNX
Runtime decodes it, and nothing limits the instructions that this uses.
"""

import argparse
import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from tests.bench.clips import load_clips
from tests.bench.figures import Figure
from tests.bench.scoring import edits, normalised
from tests.bench.screen import Measured
from tests.bench.transcripts import transcribe_recording
from tests.whisper_engines import load

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
    """Error rates of recordings by way to compute, and the most that they differ by."""
    found: dict[str, dict[str, float]] = {}
    for name, (compute_type, variables) in _ways().items():
        command = [sys.executable, "-m", "tests.bench.processors", folder, "--compute-type", compute_type]
        answer = subprocess.run(command, env=os.environ | variables, stdout=subprocess.PIPE, text=True, check=True)
        found[name] = json.loads(answer.stdout.splitlines()[-1])
        print(f"{name:<16}", "  ".join(f"{group} {value:.2f} %" for group, value in found[name].items()), flush=True)
    figures = []
    for group in next(iter(found.values())):
        values = [one[group] for one in found.values()]
        name = f"WER of recordings, {group}, largest over smallest"
        figures.append(Figure(name, max(values) - min(values), "points"))
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
    """By group."""
    engine = load(threads=THREADS, slots=1, compute_type=compute_type)
    engine.warm_up()
    found: defaultdict[str, Measured] = defaultdict(Measured)
    for clip in load_clips(folder):
        heard = normalised(transcribe_recording(engine, clip.pcm, clip.language).text, clip.language)
        found[clip.group].add(Measured(edits(clip.words, heard), len(clip.words)))
    return {group: measured.error_percent for group, measured in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--compute-type", required=True)
    arguments = parser.parse_args()
    print(json.dumps(error_percents(arguments.folder, arguments.compute_type)))


if __name__ == "__main__":
    main()
