from tests.scheduling import LONGEST_FIRST, TOGETHER
from tests.stack import PROJECT


def test_files_that_are_named_exist() -> None:
    named = {*LONGEST_FIRST, *TOGETHER, *TOGETHER.values()}
    assert [file for file in named if not (PROJECT / file).is_file()] == []
