"""The files that documents of the command line are written to: formats, paths, and what is not overwritten."""

import os
import stat
from pathlib import Path

import pytest

from frontend.cli.failures import OutputError
from frontend.cli.outputs import SUFFIXES, Output, output_paths, outputs, write_whole


def test_output_paths_without_an_output_are_stdout() -> None:
    assert output_paths(["a.wav", "b.wav"], None, "text") == [None, None]


def test_output_paths_of_one_source_may_be_a_file(tmp_path: Path) -> None:
    assert output_paths(["a.wav"], str(tmp_path / "a.txt"), "text") == [tmp_path / "a.txt"]


@pytest.mark.parametrize("suffix", ["", "/"])
def test_output_paths_of_an_existing_or_slashed_folder_are_in_it(tmp_path: Path, suffix: str) -> None:
    folder = str(tmp_path) if not suffix else str(tmp_path / "new") + suffix

    assert output_paths(["in/a.wav"], folder, "srt") == [Path(folder) / "a.srt"]


def test_output_paths_of_several_sources_are_in_a_folder_that_need_not_exist(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "yet"

    assert output_paths(["a.wav", "b.wav"], str(folder), "text") == [folder / "a.txt", folder / "b.txt"]


def test_output_paths_keep_the_suffix_of_names_that_differ_only_there(tmp_path: Path) -> None:
    paths = output_paths(["a.wav", "a.mp3", "b.wav", "-"], str(tmp_path), "json")

    assert [path and path.name for path in paths] == ["a.wav.json", "a.mp3.json", "b.json", "stdin.json"]


@pytest.mark.parametrize(
    ("sources", "output", "text_format"),
    [
        (["a.wav", "b.wav"], None, "srt"),
        (["x/a.wav", "y/a.wav"], "folder", "text"),
        (["a.wav", "b.wav"], __file__, "text"),
        (["a.wav"], "/nonexist/a.txt", "text"),
        (["a.wav"], f"{__file__}/a.txt", "text"),
    ],
)
def test_output_paths_refuse_what_does_not_go_together(
    sources: list[str], output: str | None, text_format: str
) -> None:
    with pytest.raises(OutputError):
        output_paths(sources, output, text_format)


def test_write_whole_leaves_nothing_beside_the_document(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"

    write_whole(path, "Grüße\n")

    assert path.read_text(encoding="utf-8") == "Grüße\n"
    assert list(path.parent.iterdir()) == [path]


def test_write_whole_keeps_a_link_and_the_mode_of_its_target(tmp_path: Path) -> None:
    target, link = tmp_path / f"{'a' * 251}.txt", tmp_path / "link.txt"
    target.write_text("old")
    target.chmod(0o600)
    link.symlink_to(target)

    write_whole(link, "new")

    assert (link.is_symlink(), target.read_text(), stat.S_IMODE(target.stat().st_mode)) == (True, "new", 0o600)


def test_write_whole_that_fails_leaves_the_former_document_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "\udcff")

    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_suffix_of_the_output_decides_its_format(tmp_path: Path) -> None:
    for text_format, suffix in SUFFIXES.items():
        path = tmp_path / f"talk{suffix.upper()}"
        assert outputs(["a.wav"], str(path), None, overwrites=False) == [[Output(text_format, path)]]
    assert outputs(["a.wav"], str(tmp_path / "talk"), None, overwrites=False)[0][0].text_format == "text"
    assert outputs(["a.wav"], str(tmp_path / "a.txt"), "json", overwrites=False)[0][0].text_format == "json"
    assert outputs(["a.wav"], None, None, overwrites=False) == [[Output("text")]]


def test_unknown_suffix_needs_a_format(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"ends with \.docx, .* allowed: \.txt, \.json, \.srt, \.vtt, or any with"):
        outputs(["a.wav"], str(tmp_path / "a.docx"), None, overwrites=False)
    assert outputs(["a.wav"], str(tmp_path / "a.docx"), "srt", overwrites=False)[0][0].text_format == "srt"


@pytest.mark.parametrize(
    ("output", "names"),
    [
        ("talk", ["talk.txt", "talk.json", "talk.srt", "talk.vtt"]),
        ("talk.srt", ["talk.txt", "talk.json", "talk.srt", "talk.vtt"]),
        ("talk.v2", ["talk.v2.txt", "talk.v2.json", "talk.v2.srt", "talk.v2.vtt"]),
        ("new/", ["new/a.txt", "new/a.json", "new/a.srt", "new/a.vtt"]),
    ],
)
def test_all_formats_are_written_side_by_side(tmp_path: Path, output: str, names: list[str]) -> None:
    (planned,) = outputs(["in/a.wav"], f"{tmp_path}/{output}", "all", overwrites=False)

    assert [str(one.path.relative_to(tmp_path)) for one in planned if one.path] == names
    assert [one.text_format for one in planned] == list(SUFFIXES)


def test_all_formats_need_an_output() -> None:
    with pytest.raises(OutputError, match="give a folder with --output"):
        outputs(["a.wav"], None, "all", overwrites=False)


def test_existing_files_are_overwritten_on_request_only(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("kept")

    with pytest.raises(OutputError, match=r"b\.txt exists; --force overwrites it\."):
        outputs(["a.wav", "b.wav"], str(tmp_path), None, overwrites=False)
    assert len(outputs(["a.wav", "b.wav"], str(tmp_path), None, overwrites=True)) == 2


def test_device_is_written_to_and_not_replaced() -> None:
    assert outputs(["a.wav"], os.devnull, None, overwrites=False) == [[Output("text", Path(os.devnull))]]
    write_whole(Path(os.devnull), "text")

    assert Path(os.devnull).is_char_device()


def test_output_paths_of_addresses_have_their_last_part(tmp_path: Path) -> None:
    sources = ["https://voice.example/talks/one%20two.mp3?key=1", "https://voice.example/"]

    paths = output_paths(sources, str(tmp_path), "srt")

    assert [path and path.name for path in paths] == ["one two.srt", "voice.srt"]
