"""Speakers in transcripts: turns, text, SRT and WebVTT."""

import re

from hypothesis import given
from hypothesis import strategies as st

from frontend.transcripts.subtitles import cues, srt, vtt
from frontend.transcripts.turns import labelled_text, turns
from tests.unit.frontend.transcripts.test_subtitles import Segment, Word

DIALOGUE = "A:Hello A:there. B:Hi! A:Bye."


def spoken(tagged: str, start_s: float = 0.0) -> Segment:
    """`A:word` is spoken by A, `-:word` by someone unknown."""
    parts = [part.split(":", 1) for part in tagged.split()]
    words = tuple(
        Word(text, start_s + index * 0.5, start_s + index * 0.5 + 0.5, None if name == "-" else name)
        for index, (name, text) in enumerate(parts)
    )
    text = " ".join(text for _, text in parts)
    return Segment(text, start_s, start_s + len(parts) * 0.5, words, words[0].speaker)


def test_a_final_is_split_where_the_speaker_changes() -> None:
    found = turns(spoken(DIALOGUE))
    assert [(turn.speaker, turn.text, turn.start_s, turn.end_s) for turn in found] == [
        ("A", "Hello there.", 0.0, 1.0),
        ("B", "Hi!", 1.0, 1.5),
        ("A", "Bye.", 1.5, 2.0),
    ]


def test_a_final_without_word_speakers_is_one_turn_of_its_speaker() -> None:
    whole = Segment("Hello there.", 0.0, 1.0, (Word("Hello", 0, 0.5), Word("there.", 0.5, 1)), "A")
    (turn,) = turns(whole)
    assert (turn.speaker, turn.text) == ("A", "Hello there.")
    (turn,) = turns(Segment("Hello there.", 0.0, 1.0, (), None))
    assert (turn.speaker, turn.text) == (None, "Hello there.")


@given(st.lists(st.tuples(st.sampled_from("AB-"), st.text("ab.字", min_size=1, max_size=3)), min_size=1, max_size=12))
def test_turns_contain_all_of_the_text(parts: list[tuple[str, str]]) -> None:
    segment = spoken(" ".join(f"{name}:{text}" for name, text in parts))
    found = turns(segment)
    assert " ".join(turn.text for turn in found) == segment.text
    assert [word for turn in found for word in turn.words] == list(segment.words)


def test_text_names_each_new_speaker_in_a_paragraph_of_its_own() -> None:
    text = labelled_text([spoken("A:One. A:Two."), spoken("A:Three.", 3), spoken("B:Four. -:Five.", 5)])
    assert text == "A: One. Two.\nThree.\n\nB: Four.\n\n?: Five.\n"


def test_text_without_speakers_has_a_line_for_each_final() -> None:
    assert labelled_text([spoken("-:One."), spoken("-:Two.", 3)]) == "One.\nTwo.\n"


def test_srt_names_a_speaker_where_it_changes() -> None:
    long = " ".join(f"A:word{index}" for index in range(30))
    text = srt([spoken(long), spoken("B:Hi!", 20), spoken("-:Hm.", 30)])
    assert re.findall(r"^(\S+?): ", text, re.MULTILINE) == ["A", "B", "?"]
    assert text.startswith("1\n00:00:00,000 --> ")
    assert text.count("-->") > 3


def test_srt_and_text_without_speakers_have_no_labels() -> None:
    assert srt([spoken("-:Hello. -:Bye.")]) == "1\n00:00:00,000 --> 00:00:01,000\nHello. Bye.\n\n"


def test_vtt_has_a_voice_in_each_cue_and_escapes_names() -> None:
    segment = Segment("Hello.", 0.0, 1.0, (Word("Hello.", 0, 1, "Ann & <Co> -->"),), None)
    assert vtt([segment]).splitlines()[3] == "<v Ann &amp; &lt;Co&gt; --&gt;>Hello."
    assert "<v" not in vtt([spoken("-:Hello.")])


def test_a_cue_has_one_speaker() -> None:
    assert [(cue.voice, cue.lines) for cue in cues([spoken(DIALOGUE)])] == [
        ("A", ("Hello there.",)),
        ("B", ("Hi!",)),
        ("A", ("Bye.",)),
    ]
