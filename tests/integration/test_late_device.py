"""Engines that stage their input say the same to a device that reads it late."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

import worker
from shared.config.settings import Settings
from shared.session_options import KeyTerm, Mode, SessionOptions
from tests.engine_sessions import drained, text_of
from tests.late_device import make_late
from tests.tiny.checkpoint import DIRECTORY
from tests.tiny.engine import ENOUGH_SLOTS
from tests.tiny.scenes import scene
from tests.tiny.voxtral import write_checkpoint
from worker.engines.registry import REALTIME, VOXTRAL, load_engine

TERMS = tuple(KeyTerm(word, 4.0) for word in ("seven", "oh pen", "up"))
SPOKEN = [scene(seed, 3) for seed in (3, 4)]
STAGING_ENGINES = {
    "voxtral_realtime": (REALTIME, SessionOptions(keyterms=TERMS)),
    "voxtral": (VOXTRAL[0], SessionOptions(mode=Mode.UNDERSTAND, prompt="Why?", max_new_tokens=20)),
}
"""Every engine whose package imports `Staged`."""


def said(engine: Any, options: SessionOptions, passers_by: bool) -> list[str]:
    """The outputs of two sessions; the second joins later and stays longer.

    With `passers_by` others come and go between their passes, and one of them begins anew.
    """
    engine.warm_up()
    outputs: dict[str, list[Any]] = {"0": [], "1": []}
    for number, spoken in enumerate(SPOKEN):
        if passers_by:
            engine.open(f"before {number}", SessionOptions(delay_ms=240, keyterms=TERMS[:1]))
            engine.feed(f"before {number}", SPOKEN[1].audio)
        engine.open(str(number), options)
        engine.feed(str(number), spoken.audio)
        for passes in range(9):
            if passers_by and passes == 4:
                engine.configure(f"before {number}", SessionOptions(delay_ms=480))
            if passers_by and passes == 7:
                engine.close(f"before {number}")
            for session_id, output in engine.step():
                outputs[session_id].append(output)
        engine.finish(str(number))
    for session_id, rest in drained(engine).items():
        outputs[session_id] += rest
        engine.close(session_id)
    return [text_of(one) for one in outputs.values()]


@pytest.mark.parametrize(
    ("name", "overlaps"), [("voxtral_realtime", False), ("voxtral_realtime", True), ("voxtral", False)]
)
def test_late_copies_change_nothing(name: str, overlaps: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model_name, options = STAGING_ENGINES[name]
    is_realtime = model_name == REALTIME
    path = DIRECTORY if is_realtime else write_checkpoint(tmp_path)
    model = {"name": model_name, "path": path, "device": "cpu", "threads": 1, "slots": ENOUGH_SLOTS}
    threads = torch.get_num_threads()
    engine: Any = load_engine(Settings(model=model))  # type: ignore[arg-type]
    in_time = said(engine, options, is_realtime)
    engine._overlaps = overlaps
    make_late(monkeypatch)
    late = said(engine, options, is_realtime)
    torch.set_num_threads(threads)
    assert all(in_time)
    assert late == in_time


def test_no_engine_copies_to_a_device_by_itself() -> None:
    engines = Path(worker.__file__).parent / "engines"
    by_themselves = [
        path.name for path in engines.rglob("*.py") if re.search(r"non_blocking|pin_memory", path.read_text())
    ]
    assert by_themselves == ["staging.py"]
    staging = {path.parent.name for path in engines.rglob("*.py") if "import Staged" in path.read_text()}
    assert staging == set(STAGING_ENGINES)
