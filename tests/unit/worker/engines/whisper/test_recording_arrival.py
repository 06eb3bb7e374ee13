"""A recording has the same windows and finals however its audio arrives and whatever else its worker does."""

from dataclasses import dataclass, replace
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.events import SAMPLE_RATE_HZ
from shared.session_options import SessionOptions
from tests.unit.worker.engines.whisper.heard_words import words
from tests.unit.worker.engines.whisper.whisper_speech import Played, Speech, play
from worker.engines.whisper.languages import Probabilities
from worker.engines.whisper.recording import Recording
from worker.engines.whisper.session import Place
from worker.engines.whisper.words import HeardWord

CHUNK_SAMPLES: Final = 1600
BURST_SAMPLES: Final = 10**8
"""More than a recording of these tests has."""
WORD_S: Final = 0.4
LANGUAGES: Final = "en", "de", "es"


@dataclass(frozen=True, slots=True)
class Sentence:
    words: int
    pause_s: float
    """After it."""
    german: float = 0.1
    """The probability of this language; the rest is that of English."""


def spoken(sentences: list[Sentence]) -> tuple[Speech, list[int]]:
    """The speech, and where each sentence begins."""
    said: list[HeardWord] = []
    starts: list[int] = []
    at_s = 0.5
    for number, one in enumerate(sentences):
        starts.append(round(at_s * SAMPLE_RATE_HZ))
        said += words(" ".join(f"word{number}.{index}" for index in range(one.words)), at_s, WORD_S)
        at_s += one.words * WORD_S + one.pause_s
    return Speech(tuple(said), round(at_s * SAMPLE_RATE_HZ)), starts


def recorded(
    sentences: list[Sentence],
    chunk_samples: int = CHUNK_SAMPLES,
    *,
    detections: int | None = None,
    commits_s: tuple[float, ...] = (),
    language: str | None = None,
) -> Played:
    said, starts = spoken(sentences)

    def probabilities(at: int) -> Probabilities:
        german = sentences[max(0, sum(start <= at for start in starts) - 1)].german
        return {"en": 1 - german, "de": german}

    return play(
        Recording(SessionOptions(recording=True, partials=False, language=language), LANGUAGES, Place()),
        said,
        chunk_samples=chunk_samples,
        commits_samples=[min(round(at_s * SAMPLE_RATE_HZ), said.length_samples) for at_s in commits_s],
        language=probabilities,
        detections=detections,
    )


def languages_of(played: Played) -> list[str | None]:
    return [final.language for final in played.finals]


def plain(played: Played) -> list[tuple[object, ...]]:
    return [(one.segment, one.text, one.words, one.language, one.start_samples) for one in played.finals]


SENTENCES = st.builds(
    Sentence, st.integers(1, 14), st.floats(0.3, 3.0), st.sampled_from([0.02, 0.3, 0.45, 0.6, 0.75, 0.98])
)


@given(
    st.lists(SENTENCES, min_size=4, max_size=16),
    st.integers(500, 200_000) | st.just(BURST_SAMPLES),
    st.sampled_from([1, 2, None]),
    st.lists(st.floats(1.0, 60.0), max_size=2).map(tuple),
    st.sampled_from([None, "en"]),
)
def test_arrival_changes_nothing(
    sentences: list[Sentence],
    chunk_samples: int,
    detections: int | None,
    commits_s: tuple[float, ...],
    language: str | None,
) -> None:
    known = recorded(sentences, commits_s=commits_s, language=language)
    played = recorded(sentences, chunk_samples, detections=detections, commits_s=commits_s, language=language)
    assert [one.spans for one in played.passes] == [one.spans for one in known.passes]
    assert [job.language for job in played.jobs] == [job.language for job in known.jobs]
    assert plain(played) == plain(known)


@pytest.mark.parametrize("detections", [1, None])
@pytest.mark.parametrize("chunk_samples", [8000, 320_000, BURST_SAMPLES])
def test_language_is_detected_in_the_first_speech_alone(chunk_samples: int, detections: int | None) -> None:
    """What follows is likelier to be German than the beginning is to be English."""
    sentences = [Sentence(10, 1.0, german=0.45)] * 8 + [Sentence(10, 1.0, german=0.9)] * 12
    played = recorded(sentences, chunk_samples, detections=detections)
    assert languages_of(played) == ["en"] * 8 + ["de"] * 12


@pytest.mark.parametrize("chunk_samples", [8000, BURST_SAMPLES])
def test_first_sentence_alone_settles_nothing_if_one_is_detected_at_a_time(chunk_samples: int) -> None:
    """As beside a live session."""
    sentences = [Sentence(4, 1.0, german=0.75), Sentence(10, 1.0), Sentence(10, 1.0)]
    assert languages_of(recorded(sentences, chunk_samples, detections=1)) == ["en"] * 3


def test_language_that_is_given_later_ends_the_wait_for_the_one_before() -> None:
    said, _ = spoken([Sentence(10, 1.0)] * 12)
    detected = SessionOptions(recording=True, partials=False)
    recording = Recording(detected, LANGUAGES, Place())
    answered_s: list[float] = []
    played = play(
        recording,
        said,
        commits_samples=[35 * SAMPLE_RATE_HZ],
        events={
            16 * SAMPLE_RATE_HZ: lambda: recording.configure(replace(detected, language="de")),
            45 * SAMPLE_RATE_HZ: lambda: answered_s.append(recording.checkpoint_samples / SAMPLE_RATE_HZ),
        },
    )
    assert answered_s[0] >= 35
    assert set(languages_of(played)[:2]) == {"en"}
    assert set(languages_of(played)[4:]) == {"de"}


@pytest.mark.parametrize(("pause_s", "joined"), [(2.3, 6), (2.4, 6), (2.5, 6), (2.6, 1)])
@pytest.mark.parametrize("chunk_samples", [CHUNK_SAMPLES, BURST_SAMPLES])
def test_segments_2_s_apart_are_joined(pause_s: float, joined: int, chunk_samples: int) -> None:
    """They include 0.5 s of the pause: one may begin near enough although its speech does not."""
    played = recorded([Sentence(10, pause_s)] * 6, chunk_samples, language="en")
    assert len(played.passes[0].spans.spans) == joined
