"""The streaming engine without pauses: segments end between words, and no stream grows without bound."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.events import SAMPLE_RATE_HZ
from tests.engine_sessions import drained, finals, partials
from tests.integration.sherpa_sessions import FILE, LIVE, built, heard, plain
from tests.sherpa_models import marked, write_ctc, write_transducer
from tests.speech import SENTENCES, silence, synthesise
from worker.engines.base import Output, SpeechStarted, SpeechStopped
from worker.engines.sherpa.engine import SherpaEngine
from worker.engines.speech.boundaries import SegmenterSettings

Marks = Sequence[tuple[float, str]]


def long_speech(seconds: float) -> tuple[NDArray[np.float32], Marks]:
    """Speech without a pause that the VAD would take for an end, with a word in every second."""
    parts = [synthesise(sentence)[4000:-6000] for sentence in SENTENCES[:30]]
    speech = np.concatenate([silence(0.5), np.concatenate(parts)[: round(seconds * SAMPLE_RATE_HZ)], silence(1)])
    marks = [(at_s, token) for second in range(1, int(seconds)) for at_s, token in word_at(second)]
    return marked(speech, marks), marks


def word_at(second: int) -> Marks:
    return ((second, "▁for"), (second + 0.3, "ty")) if second % 3 == 0 else ((second, "▁two"),)


@pytest.fixture(scope="module", params=["ctc", "transducer"])
def unending(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> SherpaEngine:
    """No pause but a long one ends a segment, so that only their length does."""
    folder = tmp_path_factory.mktemp(request.param)
    write_ctc(folder) if request.param == "ctc" else write_transducer(folder)
    return built(folder, SegmenterSettings(endpoint_ms=3000, late_endpoint_ms=3000))


def test_segment_that_is_too_long_ends_between_two_words(unending: SherpaEngine) -> None:
    pcm, marks = long_speech(40)
    outputs = heard(unending, pcm)
    found = finals(outputs)
    assert len(found) == 4
    expected = "".join(token for _, token in marks).replace("▁", " ").split()
    assert " ".join(final.text for final in found).split() == expected
    assert [word.text for final in found for word in final.words] == expected
    assert [final.segment for final in found] == [0, 1, 2, 3]
    for before, after in pairwise(found):
        assert after.start_samples == before.end_samples == before.resume_samples
        assert before.words[-1].end_samples <= before.end_samples <= after.words[0].start_samples
        assert before.end_samples - before.start_samples <= 14 * SAMPLE_RATE_HZ
    assert [type(output) for output in outputs if isinstance(output, SpeechStarted | SpeechStopped)] == [
        SpeechStarted,
        SpeechStopped,
    ]
    for final in found:
        assert all(final.text.startswith(one.text) for one in partials(outputs) if one.segment == final.segment)


def test_long_segments_do_not_depend_on_chunks(unending: SherpaEngine) -> None:
    pcm, _ = long_speech(40)
    assert plain(heard(unending, pcm, chunk_samples=1600)) == plain(heard(unending, pcm, FILE, chunk_samples=len(pcm)))


def test_stream_of_endless_speech_is_replaced_without_a_word_lost(unending: SherpaEngine) -> None:
    pcm, marks = long_speech(75)
    unending.open("a", LIVE)
    outputs: list[Output] = []
    streams = set()
    for start in range(0, len(pcm), 16_000):
        unending.feed("a", pcm[start : start + 16_000])
        outputs += drained(unending).get("a", [])
        session = unending._sessions["a"]
        if session._hearing:
            streams.add(session.hearing.start_samples)
        assert session.endpointing.audio.end_samples - session.endpointing.audio.start_samples < 6 * SAMPLE_RATE_HZ
    unending.finish("a")
    outputs += drained(unending)["a"]
    expected = "".join(token for _, token in marks).replace("▁", " ").split()
    assert " ".join(final.text for final in finals(outputs)).split() == expected
    assert len(streams) == 2
