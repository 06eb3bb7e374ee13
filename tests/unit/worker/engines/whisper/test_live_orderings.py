"""Bursts of audio, commits, changed options and takeovers at any moment of a live session."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.events import SAMPLE_RATE_HZ
from shared.session_options import Mode, SessionOptions
from shared.turn_detection import TurnDetection
from tests.unit.worker.engines.whisper.heard_words import tokens, word, words
from tests.unit.worker.engines.whisper.test_live import ENGLISH, SETTINGS, check_contract, monologue, session
from tests.unit.worker.engines.whisper.test_live_turns import Sure
from tests.unit.worker.engines.whisper.whisper_speech import Answer, Speech, faultless, play, speech
from worker.engines.base import History
from worker.engines.speech.vad import WINDOW_SAMPLES
from worker.engines.whisper.jobs import Heard, Job
from worker.engines.whisper.live import VAD_STEP_WINDOWS, LiveSession
from worker.engines.whisper.session import Pass, Place
from worker.engines.whisper.settings import LIVE_SEGMENTER
from worker.turns.judge import TurnJudge

DETECTED = SessionOptions()

spoken_words = st.lists(
    st.tuples(
        st.sampled_from([0.15, 0.25, 0.4]),
        st.sampled_from([0.0, 0.0, 0.0, 0.3, 0.56, 0.6, 0.7, 1.0]),
    ),
    min_size=2,
    max_size=12,
)
"""The length of each word, and of the pause after it, in seconds."""


@settings(max_examples=150)
@given(
    spoken_words,
    st.sampled_from([800, 1600, 16_000, 10**7]),
    st.lists(st.floats(0.1, 0.99), max_size=4),
    st.sampled_from([ENGLISH, DETECTED, replace(ENGLISH, partials=False), replace(DETECTED, turns=True)]),
    st.sampled_from([None, TurnDetection("pause", silence_duration_ms=32)]),
)
def test_every_word_is_written_once_however_the_audio_arrives(
    spoken: list[tuple[float, float]],
    chunk_samples: int,
    commits: list[float],
    options: SessionOptions,
    detection: TurnDetection | None,
) -> None:
    found, at_s = [], 0.4
    for index, (length_s, pause_s) in enumerate(spoken):
        found.append(word(f" w{chr(97 + index)}", at_s, at_s + length_s))
        at_s += length_s + pause_s
    said = Speech(tuple(found), round((at_s + 0.2) * SAMPLE_RATE_HZ), is_strict=False)
    commits_samples = [round(share * said.length_samples) for share in commits]
    live = session(replace(options, turn_detection=detection), segmenter=LIVE_SEGMENTER)
    played = play(live, said, chunk_samples=chunk_samples, commits_samples=commits_samples)
    check_contract(played)
    cut = [any(one.start_samples < at < one.end_samples for at in commits_samples) for one in found]
    written = played.text.split()
    expected = [one.text.strip() for one in found]
    assert [one for one in written if one in expected] == written
    assert len(set(written)) == len(written)
    assert {one for one, is_cut in zip(expected, cut, strict=True) if not is_cut} <= set(written)


@pytest.mark.parametrize("options", [ENGLISH, DETECTED])
@pytest.mark.parametrize("first_window", range(VAD_STEP_WINDOWS))
def test_commit_soon_after_a_segment_ends_another_one(first_window: int, options: SessionOptions) -> None:
    """In a burst, one step hears the end of a segment and all of the next one."""
    at_s = 0.5 + first_window * WINDOW_SAMPLES / SAMPLE_RATE_HZ
    first = words("One two three.", at_s, 0.4)
    second = words("Four.", first[-1].end_samples / SAMPLE_RATE_HZ + 0.6, 0.13)
    said = Speech((*first, *second), second[-1].end_samples)
    played = play(session(options, segmenter=LIVE_SEGMENTER), said, chunk_samples=10**7)
    check_contract(played)
    assert [final.text for final in played.finals] == ["One two three.", "Four."]
    assert [final.segment for final in played.finals] == [0, 1]


@pytest.mark.parametrize("at_s", [6, 9, 12, 15])
@pytest.mark.parametrize("new", [SessionOptions(language="de"), SessionOptions(languages=("en", "de"))])
def test_language_that_is_changed_in_mid_segment_applies_to_the_next_one(at_s: int, new: SessionOptions) -> None:
    said = speech(monologue(60, sentence_words=100), "And then?", word_s=0.35)
    live = session(DETECTED, segmenter=LIVE_SEGMENTER)
    played = play(live, said, events={at_s * SAMPLE_RATE_HZ: lambda: live.configure(new)})
    check_contract(played)
    assert played.text == f"{monologue(60, sentence_words=100)} And then?"
    assert [one.language for one in played.finals if one.text != "And then?"] == ["en"] * (len(played.finals) - 1)
    assert played.finals[-1].language == (new.language or "en")


@pytest.mark.parametrize("seconds", [3, 5, 7])
def test_new_owner_that_detects_another_language_repeats_nothing(seconds: int) -> None:
    """Its first guess, from less than a second of speech, may be another one than after two."""
    text = monologue(40, sentence_words=100)
    said = speech(text, word_s=0.35)
    former = play(session(DETECTED), said, language=lambda _: "de")
    shown = [one for one in former.partials if one.heard_samples <= seconds * SAMPLE_RATE_HZ][-1]
    assert shown.committed_words
    new = session(DETECTED)
    new.recall(History(0, (), shown.committed_words, shown.committed_text), tokens)
    played = play(new, said, language=lambda at: "en" if at < SAMPLE_RATE_HZ else "de")
    check_contract(played)
    assert played.text == text


@pytest.mark.parametrize("mode", [Mode.TRANSCRIBE, Mode.TRANSLATE])
@pytest.mark.parametrize("has_words", [True, False])
def test_commit_within_a_turn_loses_no_audio(mode: Mode, has_words: bool) -> None:
    said = speech("One two three four five.", "Six seven eight.")
    options = SessionOptions(language="en", mode=mode, turn_detection=TurnDetection("semantic"))
    live = LiveSession(options, ("en",), Place(), LIVE_SEGMENTER, SETTINGS, judge=TurnJudge(Sure(0.1)))
    decoder: Answer = faultless if has_words else _deaf
    played = play(live, said, commits_samples=[said.words[4].end_samples + 200], decoder=decoder)
    spoken = " ".join(one.text.strip() + one.mark for one in said.words)
    assert played.text == (spoken if has_words else "")


def _deaf(_: Pass, __: Job, heard: Heard) -> Heard:
    return replace(heard, words=())


def test_mark_before_a_long_pause_in_the_text_stays() -> None:
    """The answer after it does not contain the mark, since no word before it is in the window."""
    before = words("Good morning, everybody.", 0.5, 0.4)
    music = words(monologue(30), before[-1].end_samples / SAMPLE_RATE_HZ, 0.4)
    after = words("Then it ends.", music[-1].end_samples / SAMPLE_RATE_HZ, 0.4)
    said = Speech((*before, *music, *after), after[-1].end_samples + SAMPLE_RATE_HZ, is_strict=False)
    spoken = {one.text for one in (*before, *after)}

    def without_music(_: Pass, __: Job, heard: Heard) -> Heard:
        return replace(heard, words=tuple(one for one in heard.words if one.text in spoken))

    played = play(session(segmenter=LIVE_SEGMENTER), said, decoder=without_music)
    check_contract(played)
    assert played.text == "Good morning, everybody. Then it ends."
