"""What a soak counts as wrong, and what makes it fail."""

import pytest

from tests.bench.processes import ALLOWED_MIB
from tests.chaos.soak import Results

SAID = "one two three four five six seven eight nine zero"


@pytest.mark.parametrize(
    ("heard", "wrong"),
    [
        (f"{SAID}.", 0),
        ("", 10),
        ("One, two, three.", 7),
        (SAID.removeprefix("one "), 1),
        (f"{SAID} {SAID}", 10),
    ],
)
def test_words_that_are_missing_or_too_many_are_wrong(heard: str, wrong: int) -> None:
    results = Results()
    results.judge(SAID, heard)
    assert (results.words, results.wrong_words) == (10, wrong)


def good() -> Results:
    results = Results()
    results.judge(SAID, SAID)
    results.errors["server_busy"] = 9
    return results


def test_wrong_words_internal_errors_and_growth_are_faults() -> None:
    assert good().faults({"redis": 2 * ALLOWED_MIB, "worker": ALLOWED_MIB}) == []
    assert good().faults({"worker": ALLOWED_MIB + 1}) == ["worker has grown by 21.0 MiB; allowed: 20"]
    wrong, internal = good(), good()
    wrong.judge(SAID, "")
    internal.errors["internal_error"] += 1
    assert wrong.faults({}) == ["10 of 20 words are wrong"]
    assert internal.faults({}) == ["internal errors: 1"]
    assert Results().faults({}) == ["0 of 0 words are wrong"]
