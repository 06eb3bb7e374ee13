"""The streaming engine with models that hear marks: texts, times, segments, and that nothing depends on chance."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from shared.errors import ServerBusyError
from shared.events import SAMPLE_RATE_HZ
from shared.session_options import CommitDelay, KeyTerm, Mode, SessionOptions
from shared.turn_detection import TurnDetection
from tests.engine_sessions import drained, finals, lent, partials
from tests.integration.sherpa_sessions import FILE, LIVE, SPEECH, built, heard, plain
from tests.sherpa_models import FRAME_S, MARK_S, marked, write_ctc, write_transducer
from tests.speech import silence
from worker.engines.base import (
    Committed,
    Final,
    Finished,
    Notice,
    Output,
    Partial,
    SpeechStarted,
    SpeechStopped,
    TurnEnded,
)
from worker.engines.sherpa.engine import SherpaEngine

Marks = Sequence[tuple[float, str]]
CTC_DELAY_S = 0.32
"""The CTC model writes each chunk one chunk later."""
MARKS: Marks = (
    (1.0, "▁for"),
    (1.4, "ty"),
    (2.0, "▁two"),
    (2.5, "中"),
    (2.8, "文"),
    (3.3, "<0xC3>"),
    (3.6, "<0xA9>"),
    (4.9, "▁for"),
)
TEXT = "forty two中文é for"
WORDS = [("forty", 1.0), ("two", 2.0), ("中", 2.5), ("文", 2.8), ("é", 3.6), ("for", 4.9)]


MARKED = marked(SPEECH, MARKS)


@pytest.fixture(scope="module", params=["ctc", "transducer"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> SherpaEngine:
    folder = tmp_path_factory.mktemp(request.param)
    write_ctc(folder) if request.param == "ctc" else write_transducer(folder)
    engine = built(folder)
    engine.warm_up()
    return engine


@pytest.fixture
def engine(model: SherpaEngine) -> Iterator[SherpaEngine]:
    yield from lent(model)


def delay_s(engine: SherpaEngine) -> float:
    return CTC_DELAY_S if engine._recognizer.shift_samples == 5120 else 0.0


def test_engine_says_what_it_is(engine: SherpaEngine) -> None:
    info = engine.info
    assert (info.engine, info.model, info.device, info.compute_type) == ("sherpa", "sherpa", "cpu", "float32")
    assert (info.modes, info.languages, info.slots) == ((Mode.TRANSCRIBE,), (), 3)


def test_turns_end_by_the_rule_of_the_client(engine: SherpaEngine) -> None:
    twice = np.concatenate([MARKED, MARKED])
    for silence_ms, turns in ((400, 2), (4000, 1)):
        detection = TurnDetection("pause", silence_duration_ms=silence_ms)
        found = heard(engine, twice, SessionOptions(partials=False, turn_detection=detection))
        assert [type(one) for one in found] == [*[SpeechStarted, SpeechStopped, Final, TurnEnded] * turns, Finished]
        reasons = [one.reason for one in found if isinstance(one, TurnEnded)]
        assert reasons == (["silence"] * 2 if turns == 2 else ["commit"])


@pytest.mark.parametrize("is_on", [True, False])
def test_turn_ends_by_the_rule_that_it_began_with(engine: SherpaEngine, is_on: bool) -> None:
    rules = [SessionOptions(turn_detection=TurnDetection("pause")), SessionOptions()]
    first, then = rules if is_on else rules[::-1]
    engine.open("a", first)
    engine.feed("a", np.concatenate([MARKED, silence(8)]))
    found: list[Output] = []
    while not any(isinstance(one, SpeechStopped) for one in found):
        found += [output for _, output in engine.step()]
    assert not finals(found), "the model has still to write the text"
    engine.configure("a", then)
    engine.finish("a")
    ends = [type(one) for one in drained(engine)["a"] if isinstance(one, Final | TurnEnded)]
    assert ends == ([Final, TurnEnded] if is_on else [Final])


def test_live_speech_gives_events_in_order(engine: SherpaEngine) -> None:
    outputs = heard(engine, MARKED)
    kinds = [type(output) for output in outputs]
    assert kinds[:2] == [SpeechStarted, Partial]
    assert [kind for kind in kinds if kind is not Partial] == [SpeechStarted, SpeechStopped, Final, Finished]
    [final] = finals(outputs)
    assert (final.segment, final.text, final.language) == (0, TEXT, None)
    assert all(partial.start_samples == final.start_samples for partial in partials(outputs))
    assert final.resume_samples == final.end_samples


def test_words_are_where_their_marks_are(engine: SherpaEngine) -> None:
    [final] = finals(heard(engine, MARKED))
    assert [word.text for word in final.words] == [text for text, _ in WORDS]
    for word, (_, start_s) in zip(final.words, WORDS, strict=True):
        late_s = word.start_samples / SAMPLE_RATE_HZ - start_s - delay_s(engine)
        assert -FRAME_S <= late_s <= MARK_S
    times = [time for word in final.words for time in (word.start_samples, word.end_samples)]
    assert times == sorted(times)
    assert final.start_samples <= times[0]
    assert times[-1] <= final.end_samples


def test_text_only_grows_and_is_committed_at_once(engine: SherpaEngine) -> None:
    outputs = heard(engine, MARKED)
    [final] = finals(outputs)
    grown = partials(outputs)
    assert len(grown) >= 5
    for before, after in pairwise(grown):
        assert after.text.startswith(before.text)
        assert after.committed_words[: len(before.committed_words)] == before.committed_words
        assert after.heard_samples > before.heard_samples
    for partial in grown:
        assert partial.committed_text == partial.text
        assert final.text.startswith(partial.text)
        assert partial.committed_words == final.words[: len(partial.committed_words)]
    assert len(grown[-1].committed_words) >= 4


def test_partial_rests_on_audio_that_was_fed(engine: SherpaEngine) -> None:
    engine.open("a", LIVE)
    for start in range(0, len(MARKED), 1600):
        engine.feed("a", MARKED[start : start + 1600])
        for partial in partials(drained(engine).get("a", [])):
            assert partial.heard_samples <= start + 1600
            assert start + 1600 - partial.heard_samples < engine._recognizer.shift_samples


@pytest.mark.parametrize("frames", range(9))
def test_last_word_is_written_though_the_audio_ends_with_it(engine: SherpaEngine, frames: int) -> None:
    """`finish` in the middle of speech, at each place of a chunk: the model has not written what it has heard."""
    at_s = 4.5 + frames * FRAME_S
    pcm = marked(SPEECH, [(1.0, "▁for"), (1.4, "ty"), (at_s, "▁two")])
    outputs = heard(engine, pcm[: round((at_s + MARK_S) * SAMPLE_RATE_HZ)])
    assert finals(outputs)[0].text == "forty two"
    assert isinstance(outputs[-1], Finished)


def test_commit_ends_the_segment_behind_all_that_was_said(engine: SherpaEngine) -> None:
    at_samples = round(2.2 * SAMPLE_RATE_HZ)
    engine.open("a", LIVE)
    engine.feed("a", MARKED[:at_samples])
    engine.commit("a")
    outputs = drained(engine)["a"]
    engine.feed("a", MARKED[at_samples:])
    engine.finish("a")
    outputs += drained(engine)["a"]
    first, second = finals(outputs)
    assert (first.text, second.text) == ("forty two", "中文é for")
    assert (first.segment, second.segment) == (0, 1)
    assert first.end_samples <= at_samples <= second.start_samples
    assert outputs.index(first) < outputs.index(Committed(at_samples)) < outputs.index(second)


def test_commit_in_silence_is_answered_alone(engine: SherpaEngine) -> None:
    engine.open("a", LIVE)
    engine.feed("a", silence(1))
    engine.commit("a")
    assert drained(engine) == {"a": [Committed(SAMPLE_RATE_HZ)]}


def test_pause_ends_a_segment_and_nothing_is_carried_over(engine: SherpaEngine) -> None:
    twice = np.concatenate([MARKED, MARKED])
    outputs = heard(engine, twice)
    first, second = finals(outputs)
    assert (first.text, second.text) == (TEXT, TEXT)
    assert (first.segment, second.segment) == (0, 1)
    length = len(MARKED)
    for one, other in zip(first.words, second.words, strict=True):
        assert abs(other.start_samples - one.start_samples - length) <= FRAME_S * SAMPLE_RATE_HZ
    assert [type(output) for output in outputs if not isinstance(output, Partial)] == [
        *(SpeechStarted, SpeechStopped, Final) * 2,
        Finished,
    ]


def test_word_that_is_written_in_the_pause_stays_with_its_segment(engine: SherpaEngine) -> None:
    """The next segment would begin before it, with the audio that the VAD takes along from before the speech."""
    first = SPEECH[: round(5.75 * SAMPLE_RATE_HZ)]
    pcm = marked(np.concatenate([first, SPEECH[12_000:]]), [(2.0, "▁for"), (5.55, "▁two"), (8.0, "ty")])
    found = finals(heard(engine, pcm))
    assert [final.text for final in found] == ["for two", "ty"]
    assert found[0].words[-1].start_samples <= found[0].end_samples <= found[1].start_samples
    assert found[0].end_samples >= round(5.5 * SAMPLE_RATE_HZ)


@pytest.mark.parametrize("options", [LIVE, FILE], ids=["live", "file"])
def test_finals_do_not_depend_on_chunks(engine: SherpaEngine, options: SessionOptions) -> None:
    pcm = np.concatenate([MARKED, MARKED[SAMPLE_RATE_HZ:], MARKED])
    results = [plain(heard(engine, pcm, options, chunk_samples=size)) for size in (777, 1600, 16_000, len(pcm))]
    assert len(results[0]) == 3
    assert all(result == results[0] for result in results)


def test_file_has_the_finals_of_live_speech_and_no_partials(engine: SherpaEngine) -> None:
    outputs = heard(engine, MARKED, FILE, chunk_samples=len(MARKED))
    assert partials(outputs) == []
    assert plain(outputs) == plain(heard(engine, MARKED))


def test_sessions_in_one_batch_say_what_they_say_alone(engine: SherpaEngine) -> None:
    sounds = {
        "a": MARKED,
        "b": marked(SPEECH, [(1.2, "▁two"), (3.0, "ty")]),
        "c": np.concatenate([silence(0.37), marked(SPEECH, [(2.0, "中"), (4.0, "▁for"), (4.4, "ty")])]),
    }
    alone = {key: plain(heard(engine, pcm)) for key, pcm in sounds.items()}
    outputs: dict[str, list[Output]] = {key: [] for key in sounds}
    for key in sounds:
        engine.open(key, LIVE)
    for start in range(0, max(map(len, sounds.values())), 1600):
        for key, pcm in sounds.items():
            engine.feed(key, pcm[start : start + 1600])
        for key, found in drained(engine).items():
            outputs[key] += found
    for key in sounds:
        engine.finish(key)
    for key, found in drained(engine).items():
        outputs[key] += found
    assert {key: plain(found) for key, found in outputs.items()} == alone
    assert [alone[key][0][1] for key in "abc"] == [TEXT, "twoty", "中 forty"]  # type: ignore[index]


def test_new_owner_says_the_rest_as_the_former_would_have(engine: SherpaEngine) -> None:
    pcm = np.concatenate([MARKED, MARKED])
    whole = plain(heard(engine, pcm))
    engine.open("a", LIVE)
    fed_samples = round(9.5 * SAMPLE_RATE_HZ)
    engine.feed("a", pcm[:fed_samples])
    [first] = finals(drained(engine)["a"])
    checkpoint = engine.checkpoint_samples("a")
    assert first.resume_samples <= checkpoint < fed_samples
    engine.close("a")
    engine.open("a", LIVE, start_samples=checkpoint, segment=1)
    engine.feed("a", pcm[checkpoint:])
    engine.finish("a")
    [second] = finals(drained(engine)["a"])
    assert (second.segment, second.text) == (1, TEXT)
    assert [word.text for word in second.words] == [word.text for word in whole[1][4]]  # type: ignore[index]
    for mine, theirs in zip(second.words, whole[1][4], strict=True):  # type: ignore[index]
        assert abs(mine.start_samples - theirs.start_samples) <= FRAME_S * SAMPLE_RATE_HZ


@pytest.mark.parametrize("options", [LIVE, FILE], ids=["live", "file"])
@pytest.mark.parametrize("length_samples", [100, 1600, 5120, 80_001])
def test_audio_that_waits_for_more_is_no_backlog(
    engine: SherpaEngine, length_samples: int, options: SessionOptions
) -> None:
    engine.open("a", options)
    engine.feed("a", MARKED[:length_samples])
    drained(engine)
    assert engine.absorbed_samples("a") == length_samples


def test_backlog_shrinks_with_each_pass(engine: SherpaEngine) -> None:
    engine.open("a", LIVE)
    engine.feed("a", MARKED)
    positions = [engine.absorbed_samples("a")]
    while engine.ready():
        engine.step()
        positions.append(engine.absorbed_samples("a"))
    assert positions == sorted(positions)
    assert len(set(positions)) > 5
    assert positions[-1] == len(MARKED)


def test_checkpoint_moves_on_in_silence_and_stays_before_open_speech(engine: SherpaEngine) -> None:
    engine.open("a", LIVE)
    engine.feed("a", silence(20))
    drained(engine)
    assert engine.checkpoint_samples("a") > 19 * SAMPLE_RATE_HZ
    engine.feed("a", MARKED[: 3 * SAMPLE_RATE_HZ])
    [start] = {partial.start_samples for partial in partials(drained(engine)["a"])}
    assert engine.checkpoint_samples("a") == start


def test_slots_are_limited_and_come_back(engine: SherpaEngine) -> None:
    for session_id in ("a", "b", "c"):
        engine.open(session_id, LIVE)
    with pytest.raises(ServerBusyError, match="All 3 slots"):
        engine.open("d", LIVE)
    engine.close("b")
    engine.open("d", LIVE)
    engine.close("nobody")


def test_options_without_effect_are_reported_once(engine: SherpaEngine) -> None:
    given: dict[str, Any] = {"language": "de", "prompt": "Ada", "delay_ms": 480, "temperature": 0.5, "top_p": 0.9}
    given |= {"languages": ("de", "fr"), "commit_delay": CommitDelay.FAST}
    engine.open("a", SessionOptions(**given, keyterms=(KeyTerm("Ada"),)))
    notices = [output for output in drained(engine)["a"] if isinstance(output, Notice)]
    assert [notice.code for notice in notices] == [
        "commit_delay_ignored",
        "delay_ignored",
        "keyterms_ignored",
        "language_ignored",
        "languages_ignored",
        "prompt_ignored",
        "sampling_ignored",
    ]
    engine.configure("a", LIVE)
    assert drained(engine) == {}


def test_configured_options_hold_from_the_next_segment_on(engine: SherpaEngine) -> None:
    engine.open("a", LIVE)
    engine.feed("a", MARKED[: 3 * SAMPLE_RATE_HZ])
    outputs = drained(engine)["a"]
    engine.configure("a", SessionOptions(words=False, partials=False))
    engine.feed("a", np.concatenate([MARKED[3 * SAMPLE_RATE_HZ :], MARKED]))
    engine.finish("a")
    outputs += drained(engine)["a"]
    first, second = finals(outputs)
    assert [word.text for word in first.words] == [text for text, _ in WORDS]
    assert second.words == ()
    assert {partial.segment for partial in partials(outputs)} == {0}


def test_speech_without_words_is_no_segment_unless_turns_are_wanted(engine: SherpaEngine) -> None:
    unmarked = marked(SPEECH, [])
    assert finals(heard(engine, unmarked)) == []
    [final] = finals(heard(engine, unmarked, SessionOptions(turns=True)))
    assert (final.segment, final.text, final.words) == (0, "", ())
    twice = np.concatenate([unmarked, MARKED])
    assert [(one.segment, one.text) for one in finals(heard(engine, twice))] == [(0, TEXT)]


def test_silence_never_reaches_the_model(engine: SherpaEngine) -> None:
    outputs = heard(engine, marked(silence(4), [(1, "▁for"), (2, "▁two")], level=0.0))
    assert outputs == [Finished()]
