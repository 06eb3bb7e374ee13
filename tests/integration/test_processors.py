"""The embedded model hears the same words with the instructions of other processors; int8 is summed otherwise there."""

import os
from pathlib import Path

import pytest

from tests.bench.processors import FLAGS, LIBRARIES
from tests.bench.scoring import edits, normalised
from tests.forking import captured
from tests.speech import SENTENCES
from tests.stack import PROJECT

OF_THIS_MACHINE = set(Path("/proc/cpuinfo").read_text().split())


@pytest.mark.parametrize("name", FLAGS)
def test_words_are_heard_with_the_instructions_of_other_processors(name: str) -> None:
    if FLAGS[name] and FLAGS[name] not in OF_THIS_MACHINE:
        pytest.skip(f"this processor has no {name}")
    env = os.environ | {"CT2_FORCE_CPU_ISA": name} | LIBRARIES[name]
    done = captured("tests.integration.heard_once", folder=PROJECT, env=env)
    assert done.returncode == 0, done.stderr
    words = normalised(done.stdout.decode().splitlines()[-1])
    assert {"morning", "train", "station", "7", "city", "9"} <= {*words}
    assert edits(normalised(SENTENCES[0]), words) <= 1
