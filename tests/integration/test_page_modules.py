"""The modules of the page in Node: documents, and live sessions, whose table is the Python client's."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.integration.node import needs_node
from tests.limits import limit_s
from tests.stack import PROJECT
from voxtral_client.resume_rules import MOVES


def run_by_node(file: str, folder: Path, **variables: str) -> None:
    """Runs a file of tests with the modules of the page."""
    for module in (PROJECT / "frontend/static").glob("*.js"):
        shutil.copy(module, folder)
    shutil.copytree(PROJECT / "frontend/client-js/lib", folder / "lib")
    (folder / "package.json").write_text('{"type": "module"}')
    tested = subprocess.run(
        ["node", "--test", PROJECT / file],
        env=os.environ | variables | {"STATIC": str(folder)},
        capture_output=True,
        text=True,
        timeout=limit_s(60),
        check=False,
    )
    assert tested.returncode == 0, tested.stdout


@needs_node
@pytest.mark.parametrize(
    "name", ["client", "document", "downmix", "jobs", "keeper", "level-hints", "notice", "qr-code", "storage"]
)
def test_modules_of_the_page(tmp_path: Path, name: str) -> None:
    run_by_node(f"tests/page/{name}.test.mjs", tmp_path)


@needs_node
def test_page_resumes_as_the_vectors_say(tmp_path: Path) -> None:
    table = tmp_path / "table.json"
    run_by_node("tests/vectors/resume.test.mjs", tmp_path, TABLE=str(table))
    moves = {
        state: {event: [to, list(actions)] for event, (to, actions) in rows.items()} for state, rows in MOVES.items()
    }
    assert json.loads(table.read_text()) == moves
