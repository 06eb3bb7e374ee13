import re

import pytest

from tests.scheduling import LONGEST_FIRST, TOGETHER
from tests.stack import PROJECT


def test_files_that_are_named_exist() -> None:
    named = {*LONGEST_FIRST, *TOGETHER, *TOGETHER.values()}
    assert [file for file in named if not (PROJECT / file).is_file()] == []


@pytest.mark.parametrize("fixture", ["whisper_stack|whisper_openai|whisper_mistral", "keyed_stack", "tls_stack"])
def test_service_that_few_files_need_is_started_by_two_processes_at_most(fixture: str) -> None:
    """One for the tests of the pages, which have the browsers, and one for the others."""
    wanted = re.compile(rf"\b({fixture}): ")
    files = [path for path in (PROJECT / "tests").rglob("test_*.py") if wanted.search(path.read_text())]
    units = {TOGETHER.get(file, file) for file in (str(path.relative_to(PROJECT)) for path in files)}
    assert len(units) == 2, f"list them in tests/scheduling.py: {sorted(units)}"
