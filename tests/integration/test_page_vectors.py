"""The page's client of live sessions has the table of the Python client, and behaves as the vectors say."""

import json
import os
import shutil
import subprocess
from pathlib import Path

from frontend.client.resume_rules import MOVES
from tests.integration.node import needs_node
from tests.limits import limit_s
from tests.stack import PROJECT


@needs_node
def test_page_resumes_as_the_vectors_say(tmp_path: Path) -> None:
    for module in (PROJECT / "frontend/static").glob("*.js"):
        shutil.copy(module, tmp_path)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    table = tmp_path / "table.json"
    tested = subprocess.run(
        ["node", "--test", PROJECT / "tests/vectors/resume.test.mjs"],
        env=os.environ | {"STATIC": str(tmp_path), "TABLE": str(table)},
        capture_output=True,
        text=True,
        timeout=limit_s(60),
        check=False,
    )
    assert tested.returncode == 0, tested.stdout
    moves = {
        state: {event: [to, list(actions)] for event, (to, actions) in rows.items()} for state, rows in MOVES.items()
    }
    assert json.loads(table.read_text()) == moves
