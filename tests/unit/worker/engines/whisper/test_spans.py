import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from worker.engines.speech.audio_buffer import AudioBuffer
from worker.engines.whisper.spans import Span, Spans
from worker.engines.whisper.words import HeardWord

TWO = Spans((Span(100, 200), Span(500, 650)))

stretches = st.lists(st.tuples(st.integers(0, 50), st.integers(1, 50)), min_size=1, max_size=6).map(
    lambda gaps: Spans(
        tuple(
            Span(start, start + length)
            for start, length in (
                (sum(a + b for a, b in gaps[:index]) + gap, length) for index, (gap, length) in enumerate(gaps)
            )
        )
    )
)


def heard(start: int, end: int) -> HeardWord:
    return HeardWord(" x", "", (1,), (), start, end, 1.0)


def placed(start: int, end: int) -> tuple[int, int]:
    [word] = TWO.placed([heard(start, end)])
    return word.start_samples, word.end_samples


def test_positions_skip_the_pause() -> None:
    assert TWO.length_samples == 250
    assert [TWO.position(at) for at in (0, 99, 100, 249, 250, 999)] == [100, 199, 500, 649, 650, 650]


def test_words_end_on_their_side_of_a_pause() -> None:
    assert placed(0, 100) == (100, 200)
    assert placed(100, 250) == (500, 650)
    assert placed(50, 150) == (150, 550)
    assert placed(100, 100) == (500, 500)


def test_between_cuts_and_drops_stretches() -> None:
    assert TWO.between(150, 600) == Spans((Span(150, 200), Span(500, 600)))
    assert TWO.between(200, 500) == Spans(())
    assert TWO.between(0, 9999) == TWO
    assert (TWO.start_samples, TWO.end_samples) == (100, 650)


@given(stretches)
def test_each_sample_of_the_joined_audio_is_the_one_at_its_position(spans: Spans) -> None:
    audio = AudioBuffer(0)
    audio.append(np.arange(spans.end_samples, dtype=np.float32))
    pcm = spans.pcm(audio)
    assert len(pcm) == spans.length_samples
    assert [spans.position(index) for index in range(len(pcm))] == pcm.astype(int).tolist()


@given(stretches, st.integers(0, 300), st.integers(0, 300))
def test_placed_words_keep_their_order(spans: Spans, first: int, second: int) -> None:
    start, end = sorted(min(at, spans.length_samples) for at in (first, second))
    before, after = spans.placed([heard(0, start), heard(start, end)])
    assert before.start_samples <= before.end_samples <= after.end_samples
    assert before.end_samples <= after.start_samples <= after.end_samples
