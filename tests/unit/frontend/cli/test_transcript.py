"""Documents of the command line."""

import json
import os

import pytest

from frontend.cli.transcript import Transcript
from voxtral_client import Final, Word


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


def test_name_of_a_file_need_not_be_utf_8() -> None:
    assert json.loads(Transcript(os.fsdecode(b"n\xff.wav")).written("json").encode())["file"] == "n\ufffd.wav"
