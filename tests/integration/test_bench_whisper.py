"""The measurement of sessions per GPU runs where there is none, and reads its own table rightly."""

import os
from pathlib import Path

import numpy as np

from tests.bench.whisper_gpu import Steps, jobs, most_sessions
from tests.forking import captured
from tests.stack import PROJECT
from tests.tiny.whisper import LARGE_V3, Weights, build_whisper
from worker.engines.whisper.decoder import WhisperDecoder
from worker.engines.whisper.placement import Placement


def test_command_runs_without_a_gpu(tmp_path: Path) -> None:
    arguments = ["--device", "cpu", "--steps", "1", "--max-sessions", "2", "--result", str(tmp_path / "figures.json")]
    answer = captured("tests.bench.whisper_gpu", arguments, folder=PROJECT, env=os.environ, has_models=True)
    assert answer.returncode == 0, answer.stderr
    rows = [line.split() for line in answer.stdout.decode().splitlines()]
    assert [row[0] for row in rows if len(row) == 5 and row[0].isdigit()] == ["1", "2"]
    assert b"sessions with a partial every 160 ms" in answer.stdout
    assert (tmp_path / "figures.json").is_file()


def test_every_token_of_a_window_is_kept(tmp_path: Path) -> None:
    """A random time stamp would cut the text, and leave few words to find the times of."""
    decoder = WhisperDecoder(build_whisper(tmp_path, LARGE_V3, only_text=True), Placement("cpu", "int8", threads=1))
    heard = decoder.run(jobs(2, tokens=24))
    assert [sum(len(word.tokens) for word in one.words) for one in heard] == [24, 24]


def test_most_sessions_lie_between_the_measured_counts() -> None:
    measured = [Steps(1, [50.0]), Steps(2, [100.0]), Steps(4, [200.0])]
    assert most_sessions(measured, 150) == 3
    assert most_sessions(measured, 500) == 4
    assert most_sessions(measured, 40) == 0


def test_large_weights_differ() -> None:
    """CTranslate2 stores equal weights once: the model would be smaller than the shape that it is of."""
    weights = Weights(np.float16)
    layers = [weights.of(5120, 1280) for _ in range(3)]
    assert not any(np.array_equal(layers[0], layer) for layer in layers[1:])
