"""docs/architecture.md names files that exist, and shows the states of a session as the code has them."""

import inspect
import re
import textwrap
from pathlib import Path
from typing import Final

import pytest

from shared.bus import states
from tests.documentation import PAGES, PROJECT

ROOTS: Final = ("compose", "docs", "frontend", "requirements", "shared", "tests", "worker")
PATH: Final = re.compile(rf"`((?:{'|'.join(ROOTS)})/[\w./-]*)`")
CLASS: Final = re.compile(r"`([A-Z][a-z]\w+)`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_and_folders_exist(page: Path) -> None:
    text = page.read_text()
    assert [name for name in PATH.findall(text) if not (PROJECT / name).exists()] == []


def test_classes_exist() -> None:
    files = (path for folder in ("frontend", "shared", "worker") for path in (PROJECT / folder).rglob("*.py"))
    classes = {name for path in files for name in re.findall(r"^class (\w+)", path.read_text(), re.MULTILINE)}
    named = set(CLASS.findall((PROJECT / "docs" / "architecture.md").read_text()))
    assert {"Dialect", "Engine"} <= named <= classes


def test_state_diagram_is_that_of_the_code() -> None:
    drawn = inspect.getdoc(states).split("\n\n")[1:3]  # type: ignore[union-attr]
    shown = (PROJECT / "docs" / "architecture.md").read_text()
    for part in drawn:
        assert textwrap.dedent(part) in shown
