"""Documents of the command line, and the files that they go to."""

import json
from pathlib import Path

import pytest

from frontend.cli.transcript import OutputError, Transcript, output_paths, write_whole
from frontend.client import Final, Word


def heard(*texts: str, language: str | None = "en") -> Transcript:
    finals = [
        Final(number + 2, number, text, number * 2.0, number * 2.0 + 1.5, words(text, number * 2.0), language, None)
        for number, text in enumerate(texts)
    ]
    return Transcript("talk.wav", finals=finals, duration_s=len(texts) * 2.0)


def words(text: str, start_s: float) -> tuple[Word, ...]:
    return tuple(
        Word(word, start_s + index * 0.5, start_s + index * 0.5 + 0.5) for index, word in enumerate(text.split())
    )


def test_transcript_text_has_one_line_for_each_final() -> None:
    assert heard("Hello there.", "", "Bye.").written("text") == "Hello there.\nBye.\n"


def test_transcript_json_holds_finals_with_words_and_times() -> None:
    document = json.loads(heard("Grüße an alle.", "Bye.").written("json"))

    assert document["file"] == "talk.wav"
    assert document["text"] == "Grüße an alle. Bye."
    assert (document["language"], document["duration"]) == ("en", 4.0)
    assert document["segments"][1] == {
        "text": "Bye.",
        "start": 2.0,
        "end": 3.5,
        "words": [{"text": "Bye.", "start": 2.0, "end": 2.5}],
    }


def test_transcript_json_is_one_line() -> None:
    assert heard("One.", "Two.").written("json").count("\n") == 1


def test_transcript_of_an_answer_is_the_answer() -> None:
    transcript = Transcript("talk.wav", mode="understand", answer="Someone says hello.")

    assert transcript.written("text") == "Someone says hello.\n"
    assert json.loads(transcript.written("json"))["mode"] == "understand"


@pytest.mark.parametrize(
    ("text_format", "head"), [("srt", "1\n00:00:00,000 --> "), ("vtt", "WEBVTT\n\n00:00:00.000 --> ")]
)
def test_transcript_captions_begin_as_their_format_does(text_format: str, head: str) -> None:
    assert heard("Hello there.").written(text_format).startswith(head)


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
