"""The speakers of a session: who a new embedding belongs to, and what a new owner restores."""

import numpy as np
import orjson

from tests.unit.worker.speakers.voices import voice
from worker.speakers.clusters import Speakers, Thresholds, text_of, vector_of

LIMITS = Thresholds.around(0.6)


def speakers(limit: int = 8) -> Speakers:
    return Speakers(limit, LIMITS)


def test_new_voices_get_letters_in_the_order_of_their_first_words() -> None:
    found = speakers()
    labels = [found.assign(voice(number), 3.0, founds=True, segment=0) for number in (5, 2, 5, 9)]
    assert [one.label if one else None for one in labels] == ["A", "B", "A", "C"]


def test_short_speech_founds_no_speaker() -> None:
    found = speakers()
    assert found.assign(voice(1), 0.5, founds=False, segment=0) is None
    assert not found.found


def test_speech_between_two_voices_is_unsure() -> None:
    found = speakers()
    for number in (1, 2):
        found.assign(voice(number, noise=0), 5.0, founds=True, segment=0)
    between = (voice(1, noise=0) + voice(2, noise=0)) / 2
    assert found.assign(between, 5.0, founds=True, segment=1) is None


def test_limit_bounds_the_speakers() -> None:
    found = speakers(limit=2)
    for number in range(5):
        found.assign(voice(number), 5.0, founds=True, segment=0)
    assert [one.label for one in found.found] == ["A", "B"]


def test_known_voice_gives_its_name_and_no_letter_is_lost() -> None:
    found = speakers()
    found.name("Ann", voice(3), 20.0)
    found.name("A", voice(4), 20.0)
    labels = [found.assign(voice(number, seed=9), 3.0, founds=True, segment=0) for number in (3, 7)]
    assert [one.label if one else None for one in labels] == ["Ann", "B"]


def test_known_name_needs_more_similarity_than_a_letter() -> None:
    first = np.array([1.0, 0.0], np.float32)
    similar = np.array([0.63, 0.7766], np.float32)
    lettered, named = speakers(), speakers()
    lettered.assign(first, 20.0, founds=True, segment=0)
    named.name("Ann", first, 20.0)
    labels = [one.assign(similar, 5.0, founds=True, segment=1) for one in (lettered, named)]
    assert [one.label if one else None for one in labels] == ["A", "A"]
    assert len(named.found) == 2, "the stranger is not Ann"


def test_voices_that_become_alike_are_joined_if_their_finals_are_remembered() -> None:
    def alike() -> Speakers:
        found = speakers()
        found.assign(voice(1), 3.0, founds=True, segment=0)
        found.assign(voice(2), 3.0, founds=True, segment=4)
        found.found[1].total = voice(1, seed=8) * 3
        return found

    assert alike().merged(first_segment=4) == {"B": "A"}
    assert alike().merged(first_segment=5) == {}


def test_new_owner_has_the_same_speakers_and_gives_no_letter_twice() -> None:
    first, second = speakers(), speakers()
    for number in (1, 2):
        first.assign(voice(number), 3.0, founds=True, segment=number)
    second.restore(orjson.loads(orjson.dumps(first.to_wire())))
    labels = [second.assign(voice(number, seed=5), 3.0, founds=True, segment=7) for number in (2, 1, 3)]
    assert [one.label if one else None for one in labels] == ["B", "A", "C"]


def test_vectors_are_stored_in_half_precision() -> None:
    assert np.allclose(vector_of(text_of(voice(1))), voice(1), atol=1e-3)
