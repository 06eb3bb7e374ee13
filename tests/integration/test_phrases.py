"""`make style` rejects the phrases of `.ci/phrases.txt`, and names the line."""

import subprocess
from pathlib import Path

import pytest

from tests.stack import PROJECT

CHECK = PROJECT / ".ci" / "phrases"
PHRASES = (PROJECT / ".ci" / "phrases.txt").read_text().splitlines()


def check(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([CHECK, folder], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("phrase", [PHRASES[0], PHRASES[-1].capitalize()])
def test_a_listed_phrase_fails_the_check(tmp_path: Path, phrase: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"A fine sentence.\nThen {phrase}, as it were.\n")
    done = check(tmp_path)
    assert done.returncode == 1
    assert done.stdout == f"{page}:2:Then {phrase}, as it were.\n"


def test_other_text_passes_the_check(tmp_path: Path) -> None:
    words = "".join(f"x{phrase}x\n" for phrase in PHRASES)
    (tmp_path / "page.md").write_text(f"Viewers of a session.\n{words}")
    done = check(tmp_path)
    assert (done.returncode, done.stdout) == (0, "")


def test_a_path_that_does_not_exist_fails_the_check(tmp_path: Path) -> None:
    done = check(tmp_path / "moved")
    assert done.returncode == 2
    assert "No such file or directory" in done.stderr


def test_the_list_is_sorted_and_has_no_empty_line() -> None:
    assert sorted(set(PHRASES)) == PHRASES
    assert all(phrase == phrase.strip().lower() != "" for phrase in PHRASES)


def test_make_style_runs_the_check() -> None:
    recipe = (PROJECT / "Makefile").read_text().partition("\nstyle:")[2].partition("\n\n")[0]
    assert "\t@.ci/phrases $(PROSE)" in recipe.splitlines()
