"""Sessions that answer."""

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.events import SAMPLE_RATE_HZ
from shared.session_options import Mode, SessionOptions
from tests.engine_sessions import drained, finals, heard
from tests.voxtral.driving import answer_text, asked, samples
from tests.voxtral.reference import Reference, murmur
from worker.engines.base import Committed, Failed, Final, Finished, Partial
from worker.engines.voxtral.answering import TRANSLATE
from worker.engines.voxtral.engine import VoxtralEngine
from worker.handles import handle_of


@pytest.mark.parametrize("text", ["What is said?", None])
def test_answer_is_that_of_generate_and_grows(engine: VoxtralEngine, reference: Reference, text: str | None) -> None:
    pcm = murmur(11, 41.5)
    outputs = heard(engine, samples(pcm), asked(text))
    *shown, final, finished = outputs
    assert isinstance(final, Final)
    assert final.text == answer_text(reference, pcm, text)
    assert (final.segment, final.start_samples, final.end_samples) == (0, 0, len(pcm))
    assert final.resume_samples == final.heard_samples == len(pcm)
    assert isinstance(finished, Finished)
    texts = [partial.text for partial in shown if isinstance(partial, Partial)]
    assert texts == [partial.committed_text for partial in shown if isinstance(partial, Partial)]
    assert len(texts) == len(shown) > 3
    assert all(later.startswith(earlier) for earlier, later in zip(texts, [*texts[1:], final.text], strict=True))


def test_answer_of_ten_windows_goes_in_pieces(engine: VoxtralEngine, reference: Reference) -> None:
    pcm = murmur(12, 290)
    [final] = finals(heard(engine, samples(pcm), asked("And then?", limit=12), chunk_samples=160_000))
    assert final.text == answer_text(reference, pcm, "And then?", limit=12)


def test_translation_asks_for_english_whatever_the_prompt(engine: VoxtralEngine, reference: Reference) -> None:
    pcm = murmur(13, 3)
    options = SessionOptions(mode=Mode.TRANSLATE, prompt="Why?", max_new_tokens=20)
    [final] = finals(heard(engine, samples(pcm), options))
    assert final.text == answer_text(reference, pcm, TRANSLATE, limit=20)


def test_every_commit_is_a_question(engine: VoxtralEngine, reference: Reference) -> None:
    pieces = [murmur(seed, seconds) for seed, seconds in ((21, 2.0), (22, 31.0), (23, 0.4))]
    engine.open("a", asked("Why?"))
    for piece in pieces:
        engine.feed("a", samples(piece))
        engine.commit("a")
        engine.commit("a")
    engine.finish("a")
    outputs = drained(engine)["a"]
    assert [final.text for final in finals(outputs)] == [answer_text(reference, piece, "Why?") for piece in pieces]
    ends = np.cumsum([len(piece) for piece in pieces]).tolist()
    assert [(final.segment, final.end_samples) for final in finals(outputs)] == list(enumerate(ends))
    answered = [output for output in outputs if isinstance(output, Final | Committed)]
    assert [type(output) for output in answered] == [Final, Committed, Committed] * 3
    assert [commit.at_samples for commit in answered[1::3]] == ends
    segments = [output.segment for output in outputs if isinstance(output, Partial | Final)]
    assert segments == sorted(segments)
    assert isinstance(outputs[-1], Finished)


def test_configure_takes_effect_with_the_next_question(engine: VoxtralEngine, reference: Reference) -> None:
    first, second = murmur(24, 3), murmur(25, 3)
    engine.open("a", asked("Why?"))
    engine.feed("a", samples(first))
    engine.configure("a", asked("How?"))
    engine.commit("a")
    engine.feed("a", samples(second))
    engine.finish("a")
    expected = [answer_text(reference, first, "Why?"), answer_text(reference, second, "How?")]
    assert [final.text for final in finals(drained(engine)["a"])] == expected


def test_drawn_answers_are_the_same_for_a_new_owner(engine: VoxtralEngine) -> None:
    pcm = samples(murmur(26, 5))
    options = asked("Why?", temperature=1.5, top_p=0.95)
    first, again, other_channel, other_session = (
        drawn(engine, handle, pcm, options)
        for handle in (handle_of("a", 1, 0), handle_of("a", 2, 0), handle_of("a", 1, 1), handle_of("b", 1, 0))
    )
    assert first == again
    assert first not in (other_channel, other_session, finals(heard(engine, pcm, asked("Why?")))[0].text)


def drawn(engine: VoxtralEngine, handle: str, pcm: NDArray[np.float32], options: SessionOptions) -> str:
    engine.open(handle, options)
    engine.feed(handle, pcm)
    engine.finish(handle)
    [final] = finals(drained(engine)[handle])
    engine.close(handle)
    return final.text


def test_new_owner_reads_the_unanswered_audio_again(engine: VoxtralEngine, reference: Reference) -> None:
    first, second = murmur(27, 3), murmur(28, 4)
    engine.open("a", asked("Why?"))
    engine.feed("a", samples(first))
    engine.commit("a")
    drained(engine)
    assert engine.checkpoint_samples("a") == len(first)
    engine.feed("a", samples(second))
    engine.commit("a")
    engine.step()
    assert engine.checkpoint_samples("a") == len(first)
    assert engine.absorbed_samples("a") == len(first) + len(second)
    engine.close("a")
    engine.open("b", asked("Why?"), start_samples=len(first), segment=1)
    engine.feed("b", samples(second))
    engine.finish("b")
    [final] = finals(drained(engine)["b"])
    assert (final.segment, final.start_samples) == (1, len(first))
    assert final.text == answer_text(reference, second, "Why?")
    assert engine.checkpoint_samples("b") == len(first) + len(second)


def test_waiting_questions_cause_backpressure(engine: VoxtralEngine) -> None:
    """What is gathered is no backlog, but memory for it is bounded."""
    limit_samples = engine._model.limit_s * SAMPLE_RATE_HZ
    piece = samples(murmur(29, 60))
    engine.open("a", asked("Why?", limit=1))
    for number in range(1, 13):
        engine.feed("a", piece)
        engine.commit("a")
        assert engine.absorbed_samples("a") == min(number * len(piece), limit_samples)
    engine.finish("a")
    assert len(finals(drained(engine)["a"])) == 12
    assert engine.absorbed_samples("a") == 12 * len(piece)


def test_questions_before_audio_that_is_too_long_are_answered(engine: VoxtralEngine, reference: Reference) -> None:
    question = murmur(30, 3)
    engine.open("a", asked("Why?"))
    engine.feed("a", samples(question))
    engine.commit("a")
    for _ in range(engine._model.limit_s // 60 + 1):
        engine.feed("a", samples(murmur(29, 60)))
    engine.commit("a")
    engine.finish("a")
    final, answered, failed = (output for output in drained(engine)["a"] if not isinstance(output, Partial))
    assert isinstance(final, Final)
    assert final.text == answer_text(reference, question, "Why?")
    assert answered == Committed(len(question))
    assert isinstance(failed, Failed)
    assert failed.error.code == "audio_too_long"
