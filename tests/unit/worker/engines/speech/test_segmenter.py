from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from shared.events import SAMPLES_PER_MS
from worker.engines.speech.boundaries import Boundary, Closed, Opened, SegmenterSettings
from worker.engines.speech.segmenter import MAX_FAINT_GAP_WINDOWS, MAX_FAINT_WINDOWS, Segmenter

SETTINGS = SegmenterSettings()
WINDOW = SETTINGS.window_samples
FAINT = 0.2
MAX_SAMPLES = round(SETTINGS.max_segment_s * 1000) * SAMPLES_PER_MS
POST_ROLL_SAMPLES = SETTINGS.post_roll_ms * SAMPLES_PER_MS

speech_or_not = st.lists(
    st.tuples(st.sampled_from([0.0, 0.2, 0.4, 0.6, 0.95]), st.integers(1, 200)), min_size=1, max_size=12
).map(lambda runs: [probability for probability, windows in runs for _ in range(windows)])


def pushed(segmenter: Segmenter, probabilities: list[float]) -> list[Boundary]:
    return [boundary for probability in probabilities for boundary in segmenter.push(probability)]


def test_push_opens_before_and_closes_after_the_speech() -> None:
    segmenter = Segmenter(SETTINGS)
    opened, closed = pushed(segmenter, [0.0] * 40 + [0.9] * 30 + [0.0] * 30)
    assert opened == Opened(40 * WINDOW - SETTINGS.pre_roll_ms * SAMPLES_PER_MS, 40 * WINDOW)
    assert isinstance(closed, Closed)
    assert closed.speech_end_samples == 70 * WINDOW
    assert closed.end_samples == 70 * WINDOW + SETTINGS.post_roll_ms * SAMPLES_PER_MS
    assert closed.voiced_windows == 30


def test_speech_that_begins_faintly_is_in_its_segment_from_its_beginning() -> None:
    segmenter = Segmenter(SETTINGS)
    opened, closed = pushed(segmenter, [0.0] * 40 + [FAINT, 0.0, FAINT] * 8 + [0.9] * 30 + [0.0] * 30)
    assert opened == Opened(40 * WINDOW - SETTINGS.faint_pre_roll_ms * SAMPLES_PER_MS, 40 * WINDOW)
    assert isinstance(closed, Closed)
    assert closed.speech_start_samples == 40 * WINDOW
    assert closed.voiced_windows == 30


def test_faint_speech_before_a_pause_is_not_in_the_segment() -> None:
    opened = pushed(Segmenter(SETTINGS), [0.0] * 40 + [FAINT] * 10 + [0.0] * (MAX_FAINT_GAP_WINDOWS + 1) + [0.9] * 30)
    onset = (50 + MAX_FAINT_GAP_WINDOWS + 1) * WINDOW
    assert opened == [Opened(onset - SETTINGS.pre_roll_ms * SAMPLES_PER_MS, onset)]


def test_faint_speech_opens_no_segment_and_needs_no_more_audio_than_it_may() -> None:
    segmenter = Segmenter(SETTINGS)
    assert pushed(segmenter, [FAINT] * 1000) == []
    faint_samples = MAX_FAINT_WINDOWS * WINDOW + SETTINGS.faint_pre_roll_ms * SAMPLES_PER_MS
    assert segmenter.needed_from_samples == 1000 * WINDOW - faint_samples


def test_faint_speech_before_a_commit_is_not_in_the_segment_after_it() -> None:
    segmenter = Segmenter(SETTINGS)
    pushed(segmenter, [0.0] * 40 + [FAINT] * 20)
    assert segmenter.commit(60 * WINDOW) == []
    opened = pushed(segmenter, [0.9] * 30)
    assert opened == [Opened(60 * WINDOW - SETTINGS.pre_roll_ms * SAMPLES_PER_MS, 60 * WINDOW)]


def test_clients_threshold_applies_to_faint_speech_too() -> None:
    strict = Segmenter(replace(SETTINGS, onset_probability=0.9))
    opened = pushed(strict, [0.0] * 40 + [FAINT] * 20 + [0.95] * 30)
    assert opened == [Opened(60 * WINDOW - SETTINGS.pre_roll_ms * SAMPLES_PER_MS, 60 * WINDOW)]


def test_push_ignores_a_click() -> None:
    assert pushed(Segmenter(SETTINGS), [0.0, 0.9, 0.0] * 50) == []


def test_push_cuts_a_long_segment_at_its_best_pause() -> None:
    pause = 270
    segmenter = Segmenter(SETTINGS)
    boundaries = pushed(segmenter, [0.9] * pause + [0.2] * 4 + [0.9] * 110)
    _, closed, reopened = boundaries
    assert isinstance(closed, Closed)
    assert closed.speech_goes_on
    assert pause * WINDOW <= closed.end_samples <= (pause + 4) * WINDOW
    assert reopened == Opened(closed.end_samples, closed.end_samples, after_cut=True)


def test_segment_begins_where_its_answered_part_ends() -> None:
    segmenter = Segmenter(SETTINGS)
    pushed(segmenter, [0.0] * 40 + [0.9] * 60)
    start = 70 * WINDOW + 100
    segmenter.begin_at(start)
    assert segmenter.start_samples == segmenter.speech_start_samples == segmenter.needed_from_samples == start
    segmenter.begin_at(start - WINDOW)
    assert segmenter.start_samples == start
    [closed] = pushed(segmenter, [0.0] * 30)
    assert isinstance(closed, Closed)
    assert (closed.start_samples, closed.speech_start_samples, closed.voiced_windows) == (start, start, 30)


def test_segment_never_begins_after_its_speech() -> None:
    segmenter = Segmenter(SETTINGS)
    pushed(segmenter, [0.0] * 40 + [0.9] * 30 + [0.0] * 10)
    segmenter.begin_at(segmenter.position_samples)
    assert segmenter.start_samples == 70 * WINDOW
    [closed] = pushed(segmenter, [0.0] * 20)
    assert isinstance(closed, Closed)
    assert closed.start_samples == closed.speech_start_samples == closed.speech_end_samples < closed.end_samples
    assert closed.voiced_windows == 0


def test_speech_of_a_segment_whose_part_before_a_pause_is_answered_begins_after_the_pause() -> None:
    segmenter = Segmenter(SETTINGS)
    pushed(segmenter, [0.0] * 40 + [0.9] * 30 + [0.0] * 8)
    segmenter.begin_at(segmenter.position_samples)
    [closed] = pushed(segmenter, [0.0] * 3 + [0.9] * 20 + [0.0] * 30)
    assert isinstance(closed, Closed)
    assert (closed.start_samples, closed.speech_start_samples) == (70 * WINDOW, 81 * WINDOW)
    assert closed.speech_end_samples == 101 * WINDOW


def test_commit_ends_the_open_segment_where_the_audio_ends() -> None:
    segmenter = Segmenter(SETTINGS)
    pushed(segmenter, [0.0] * 20 + [0.9] * 20)
    [closed] = segmenter.commit(40 * WINDOW + 100)
    assert isinstance(closed, Closed)
    assert closed.end_samples == 40 * WINDOW + 100
    [opened] = pushed(segmenter, [0.9] * 5)
    assert opened.start_samples >= closed.end_samples


def test_speech_after_a_commit_starts_in_its_segment() -> None:
    segmenter = Segmenter(SETTINGS)
    pushed(segmenter, [0.0] * 20 + [0.9] * 20)
    segmenter.commit(40 * WINDOW + 100)
    opened, closed = pushed(segmenter, [0.9] * 5 + [0.0] * 30)
    assert opened == Opened(40 * WINDOW + 100, 40 * WINDOW + 100)
    assert isinstance(closed, Closed)
    assert closed.speech_start_samples == opened.speech_samples


def test_commit_in_silence_ends_nothing() -> None:
    segmenter = Segmenter(SETTINGS)
    pushed(segmenter, [0.0] * 20)
    assert segmenter.commit(20 * WINDOW) == []


pre_rolls_ms = st.sampled_from([0, 50, 96, 320, 5000])


@given(
    speech_or_not,
    st.sets(st.integers(1, 2000), max_size=4),
    pre_rolls_ms,
    st.dictionaries(st.integers(1, 2000), pre_rolls_ms, max_size=4),
)
def test_segments_are_ordered_bounded_and_apart(
    probabilities: list[float], commits: set[int], pre_roll_ms: int, changes: dict[int, int]
) -> None:
    segmenter = Segmenter(replace(SETTINGS, pre_roll_ms=pre_roll_ms), start_samples=7 * WINDOW)
    last_end = checkpoint = 7 * WINDOW
    boundaries: list[Boundary] = []
    for count, probability in enumerate(probabilities, 1):
        if count in changes and segmenter.start_samples is None:
            segmenter.configure(replace(SETTINGS, pre_roll_ms=changes[count]))
        found = segmenter.push(probability)
        assert all(one.start_samples >= checkpoint for one in found if isinstance(one, Opened))
        if count in commits:
            found += segmenter.commit(segmenter.position_samples + 99)
        boundaries += found
        assert segmenter.needed_from_samples >= checkpoint
        checkpoint = segmenter.needed_from_samples
    for index, boundary in enumerate(boundaries):
        assert isinstance(boundary, Opened) is (index % 2 == 0)
        if isinstance(boundary, Closed):
            assert last_end <= boundary.start_samples <= boundary.end_samples
            assert boundary.end_samples - boundary.start_samples <= MAX_SAMPLES + POST_ROLL_SAMPLES + WINDOW
            last_end = boundary.end_samples


@given(speech_or_not)
def test_quiet_end_is_where_the_endpoint_closes(probabilities: list[float]) -> None:
    segmenter = Segmenter(SETTINGS)
    for probability in probabilities:
        expected = segmenter.quiet_end_samples
        for boundary in segmenter.push(probability):
            if isinstance(boundary, Closed) and boundary.end_samples - boundary.start_samples < MAX_SAMPLES // 2:
                assert boundary.end_samples == expected
