"""Who spoke each word, by the windows of a final."""

from tests.unit.worker.speakers.voices import windows
from worker.speakers.clusters import Speakers, Thresholds
from worker.speakers.labelling import PART_WINDOWS, Labelling, covered_samples, parts, speakers_of
from worker.speakers.sizes import LENGTH_SAMPLES, STEP_SAMPLES

LIMITS = Thresholds.around(0.6)


def test_final_may_hold_turns_of_several_speakers() -> None:
    speakers = Speakers(8, LIMITS)
    labels = speakers_of(windows([1] * 5 + [-1] + [2] * 5 + [-1] + [1] * 5), speakers, 0)
    assert labels[:5] == ["A"] * 5
    assert labels[6:11] == ["B"] * 5
    assert labels[12:] == ["A"] * 5


def test_windows_across_a_change_do_not_join_known_speakers() -> None:
    speakers = Speakers(8, LIMITS)
    speakers_of(windows([1] * 6), speakers, 0)
    speakers_of(windows([2] * 6), speakers, 1)
    labels = speakers_of(windows([1, 1, -1, 2, 2], 100_000), speakers, 2)
    assert labels[:2] == ["A", "A"]
    assert labels[3:] == ["B", "B"]


def test_single_short_turn_of_a_stranger_is_unsure() -> None:
    speakers = Speakers(8, LIMITS)
    speakers_of(windows([1] * 6), speakers, 0)
    short = [one.__class__(one.start_samples, one.start_samples + 9600, one.vector) for one in windows([2], 100_000)]
    assert speakers_of(short, speakers, 1) == [None]


def test_final_without_windows_has_no_labels() -> None:
    assert speakers_of([], Speakers(8, LIMITS), 0) == []
    assert Labelling((), ()).between(0, 1600) is None


def test_words_get_the_speaker_whose_windows_cover_them_best() -> None:
    spans = tuple((at * STEP_SAMPLES, at * STEP_SAMPLES + LENGTH_SAMPLES) for at in range(10))
    labelling = Labelling(spans, ("A",) * 5 + ("B",) * 5)
    middle = 4 * STEP_SAMPLES + LENGTH_SAMPLES // 2 + STEP_SAMPLES // 2
    assert labelling.between(0, 1600) == "A"
    assert labelling.between(middle - STEP_SAMPLES, middle - STEP_SAMPLES + 800) == "A"
    assert labelling.between(middle - 400, middle + 400) is None
    assert labelling.between(spans[-1][1] - 800, spans[-1][1]) == "B"


def test_word_beside_all_windows_has_the_nearest_speaker_within_half_a_second() -> None:
    labelling = Labelling(((0, LENGTH_SAMPLES),), ("A",))
    near, far = LENGTH_SAMPLES + 6000, LENGTH_SAMPLES + 9000
    assert labelling.between(near, near + 100) == "A"
    assert labelling.between(far, far + 100) is None


def test_labels_follow_speakers_that_turn_out_to_be_one() -> None:
    labelling = Labelling(((0, 1), (1, 2), (2, 3)), ("A", None, "B")).renamed({"B": "A"})
    assert labelling.labels == ("A", None, "A")
    assert labelling.renamed({"A": "Z"}).labels == ("Z", None, "Z")
    assert Labelling(((0, 1), (1, 2)), ("B", "C")).renamed({"C": "B", "B": "A"}).labels == ("A", "A")


def test_long_finals_are_grouped_in_parts_of_about_equal_size() -> None:
    spoken = windows([1] * (2 * PART_WINDOWS + 1))
    assert [len(part) for part in parts(spoken)] == [100, 100, 101]
    assert [one for part in parts(spoken) for one in part] == spoken
    assert [len(part) for part in parts(spoken[:PART_WINDOWS])] == [PART_WINDOWS]
    assert list(parts([])) == []


def test_overlapping_windows_cover_their_audio_once() -> None:
    assert (
        covered_samples((at * STEP_SAMPLES, at * STEP_SAMPLES + LENGTH_SAMPLES) for at in (1, 0, 2))
        == LENGTH_SAMPLES + 2 * STEP_SAMPLES
    )
