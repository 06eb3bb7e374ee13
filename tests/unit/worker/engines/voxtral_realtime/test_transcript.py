"""Segments, words and partials from what each position says."""

from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.events import Usage, Word
from worker.engines.base import Final, Output, Partial, SpeechStarted, SpeechStopped
from worker.engines.voxtral_realtime.loudness import HOP_SAMPLES, PLAIN_WORD_SAMPLES, Loudness, _background, levels_of
from worker.engines.voxtral_realtime.transcript import ENDPOINT_FRAMES, MAX_SEGMENT_SAMPLES, Transcript


def say(transcript: Transcript, *words: str, start_samples: int = 1000) -> list[Output]:
    outputs: list[Output] = []
    for index, word in enumerate(words):
        at = start_samples + index * 2000
        transcript.begin_word(at, at + 1000)
        outputs += transcript.append(f" {word}".encode(), at + 5000, 1.0)
    return outputs


def test_partials_grow_and_the_final_holds_the_words() -> None:
    transcript = Transcript(3, "en")
    outputs = say(transcript, "one", "two")
    assert outputs == [
        SpeechStarted(1000),
        Partial(3, "one", 1000, 6000, 1.0, "one", ()),
        Partial(3, "one two", 1000, 8000, 1.0, "one two", (Word("one", 1000, 2000),)),
    ]
    words = (Word("one", 1000, 2000), Word("two", 3000, 4000))
    assert transcript.close(9000, 4500, 2.0) == [
        SpeechStopped(4000),
        Final(3, "one two", 1000, 4000, 9000, 4500, words, "en", 2.0, Usage(3, 2, truncated=False)),
    ]
    assert transcript.close(9000, 4500, 2.0) == []
    [_, partial] = say(transcript, "three")
    assert isinstance(partial, Partial)
    assert (partial.segment, partial.text) == (4, "three")


def test_segment_is_over_after_a_run_of_pads() -> None:
    transcript = Transcript(0, None)
    for _ in range(3 * ENDPOINT_FRAMES):
        transcript.pause()
    assert not transcript.is_over  # silence before the first word ends nothing
    say(transcript, "one")
    for _ in range(ENDPOINT_FRAMES - 1):
        transcript.pause()
    assert not transcript.is_over
    say(transcript, "two")
    for _ in range(ENDPOINT_FRAMES):
        transcript.pause()
    assert transcript.is_over


def test_segment_is_long_by_its_words() -> None:
    transcript = Transcript(0, None)
    say(transcript, "one")
    assert not transcript.is_long
    say(transcript, "two", start_samples=1000 + MAX_SEGMENT_SAMPLES)
    assert transcript.is_long


def test_character_of_several_tokens_appears_when_it_is_whole() -> None:
    transcript = Transcript(0, None)
    transcript.begin_word(0, 100)
    first, second = transcript.append(b" na\xc3", 0, 0.0), transcript.append(b"\xafve", 0, 0.0)
    assert [output.text for output in first + second if isinstance(output, Partial)] == ["na", "naïve"]
    transcript.append(b"\xe4\xb8", 0, 0.0)
    final = transcript.close(0, 0, 0.0)[-1]
    assert isinstance(final, Final)
    assert final.text == "naïve�"
    assert say(transcript, "next")[-1].text == "next"  # type: ignore[union-attr]


def test_marker_without_text_is_no_word() -> None:
    transcript = Transcript(0, None)
    transcript.begin_word(0, 100)
    transcript.begin_word(200, 300)
    outputs = transcript.append(b" go", 400, 0.0) + transcript.close(500, 500, 0.0)
    assert outputs[-1].words == (Word("go", 200, 300),)  # type: ignore[union-attr]
    transcript.begin_word(600, 700)
    assert transcript.close(800, 800, 0.0) == []


def test_words_of_one_marker_share_its_time() -> None:
    transcript = Transcript(0, None)
    say(transcript, "a  four", "x", start_samples=1000)
    said = transcript.append(b"y z", 9000, 0.0)
    final = transcript.close(9000, 9000, 0.0)[-1]
    assert isinstance(final, Final)
    words = (Word("a", 1000, 1200), Word("four", 1200, 2000), Word("xy", 3000, 3666), Word("z", 3666, 4000))
    assert final.words == words
    assert said[-1].committed_words == words[:2]  # type: ignore[union-attr]
    assert final.text == "a  four xy z"


def test_onset_is_where_the_last_sound_began() -> None:
    loudness = Loudness(16_000)
    levels = [0.001] * 30 + [0.2] * 20 + [0.001] * 15 + [0.1] * 12 + [0.001] * 5 + [0.15] * 10 + [0.001] * 12
    loudness.hear(np.array(levels, np.float32))

    def hop(index: int) -> int:
        return 16_000 + index * HOP_SAMPLES

    assert loudness.onset_samples(hop(0), hop(50)) == hop(30)
    assert loudness.onset_samples(hop(50), hop(92)) == hop(65)  # the closure of 5 hops belongs to the word
    assert loudness.onset_samples(hop(70), hop(92)) == hop(70)  # never before the word before
    assert loudness.onset_samples(hop(0), hop(0)) == hop(0)


def test_onset_in_uniform_sound_is_an_average_word_before_the_end() -> None:
    loudness = Loudness(0)
    generator = np.random.default_rng(0)
    loudness.hear(levels_of(generator.uniform(-0.2, 0.2, 100 * HOP_SAMPLES).astype(np.float32)))
    assert loudness.onset_samples(0, 80 * HOP_SAMPLES) == 80 * HOP_SAMPLES - PLAIN_WORD_SAMPLES
    assert loudness.onset_samples(60 * HOP_SAMPLES, 80 * HOP_SAMPLES) == 60 * HOP_SAMPLES


def test_onset_remembers_five_seconds() -> None:
    loudness = Loudness(0)
    for _ in range(20):
        loudness.hear(np.zeros(100, np.float32))
    loudness.hear(np.full(8, 0.1, np.float32))
    assert loudness.onset_samples(0, 2008 * HOP_SAMPLES) == 2000 * HOP_SAMPLES


def test_levels_are_the_root_mean_squares_of_hops() -> None:
    pcm = np.random.default_rng(0).uniform(-1, 1, (3, 1480)).astype(np.float32)
    levels = levels_of(pcm[:, 200:1480])
    assert levels.shape == (3, 8)
    assert levels == pytest.approx(np.sqrt(np.mean(np.square(pcm[:, 200:].reshape(3, 8, 160)), axis=2)), rel=1e-5)


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=600))
def test_background_is_the_percentile_of_numpy(levels: list[float]) -> None:
    assert _background(np.array(levels, np.float32)) == pytest.approx(np.percentile(levels, 20), abs=1e-6)


def test_words_and_final_have_the_probabilities_of_their_tokens() -> None:
    transcript = Transcript(0, "en")
    for word, pieces in enumerate(([" He", "llo", ","], [" it", " is"])):
        transcript.begin_word(2000 * word, 2000 * word + 1000)
        for piece, probability in zip(pieces, (0.9, 0.5, 0.2), strict=False):
            transcript.append(piece.encode(), 9000, 1.0, log(probability))
    final = transcript.close(9000, 9000, 1.0)[-1]
    assert isinstance(final, Final)
    assert [(word.text, round(word.confidence or 0, 4)) for word in final.words] == [
        ("Hello,", 0.45),
        ("it", 0.9),
        ("is", 0.5),
    ]
    assert final.scores is not None
    assert final.scores.confidence == pytest.approx((0.45 + 0.9 + 0.5) / 3)
    assert final.scores.avg_logprob == pytest.approx(log(0.9 * 0.5 * 0.2 * 0.9 * 0.5) / 5)
    assert final.usage == Usage(3, 5, truncated=False)
