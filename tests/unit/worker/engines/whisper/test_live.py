"""A live session whose words are known: what it decodes, what it shows, and what it settles."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.events import SAMPLE_RATE_HZ, Scores
from shared.session_options import CommitDelay, Mode, SessionOptions
from tests.unit.worker.engines.whisper.heard_words import tokens, word, words
from tests.unit.worker.engines.whisper.whisper_speech import (
    INTERVAL_MS,
    Played,
    Speech,
    answer,
    drain,
    play,
    speech,
)
from worker.engines.base import Committed, Final, Finished, History, Partial, SettledWord, SpeechStarted, SpeechStopped
from worker.engines.speech.boundaries import SegmenterSettings
from worker.engines.speech.segment_queue import Kind
from worker.engines.whisper.jobs import Heard, Job
from worker.engines.whisper.live import LiveSession
from worker.engines.whisper.session import Pass, Place
from worker.engines.whisper.settings import LiveSettings

SETTINGS = LiveSettings()
ENGLISH = SessionOptions(language="en")
PATIENT = SegmenterSettings(late_after_s=100, max_segment_s=100)
"""Only what the session does itself ends a segment."""
STORY = (
    "The old house stood on a hill.",
    "Nobody had lived there for years, and the windows were dark.",
    "Then, one day, a light was seen.",
)


def session(
    options: SessionOptions = ENGLISH, place: Place | None = None, segmenter: SegmenterSettings | None = None
) -> LiveSession:
    return LiveSession(options, ("en", "de", "es"), place or Place(), segmenter or SegmenterSettings(), SETTINGS)


def monologue(count: int, sentence_words: int = 9) -> str:
    """Words that are all different."""
    said = [f"word{chr(97 + index // 26)}{chr(97 + index % 26)}" for index in range(count)]
    return " ".join(
        f"{one}." if index % sentence_words == sentence_words - 1 else one for index, one in enumerate(said)
    )


def check_contract(played: Played) -> None:
    """What clients rely on, whatever the decoder says."""
    committed: dict[int, str] = {}
    position, segment = 0, 0
    for output in played.outputs:
        if isinstance(output, Partial):
            assert output.segment == segment
            assert output.committed_text.startswith(committed.get(segment, ""))
            assert output.text.startswith(output.committed_text)
            assert " ".join(one.text for one in output.committed_words) == output.committed_text
            committed[segment] = output.committed_text
        elif isinstance(output, Final):
            assert output.segment == segment
            assert output.text.startswith(committed.get(segment, ""))
            assert position <= output.start_samples <= output.end_samples == output.resume_samples
            times = [at for one in output.words for at in (one.start_samples, one.end_samples)]
            assert times == sorted(times)
            assert all(output.start_samples <= at <= output.end_samples for at in times)
            assert output.language != ""
            position, segment = output.end_samples, segment + 1
    assert isinstance(played.outputs[-1], Finished)


def test_segments_become_finals_in_order() -> None:
    said = speech(*STORY)
    played = play(session(), said)
    check_contract(played)
    assert [final.text for final in played.finals] == list(STORY)
    assert [final.segment for final in played.finals] == [0, 1, 2]
    kinds = [type(output) for output in played.outputs if not isinstance(output, Partial)]
    assert kinds == [SpeechStarted, SpeechStopped, Final] * 3 + [Finished]
    for one, true in zip(played.finals[0].words, said.words[:7], strict=True):
        assert one.text == (true.text + true.mark).strip()
        assert abs(one.start_samples - true.start_samples) < 512


def test_words_of_a_segment_are_forced_in_the_next_one() -> None:
    played = play(session(), speech(*STORY))
    wanted, job = next(
        (wanted, job)
        for wanted, job in zip(played.passes, played.jobs, strict=True)
        if wanted.end_samples > played.finals[0].end_samples
    )
    assert len(wanted.spans.spans) == 2
    assert "".join(map(chr, job.forced)).endswith(" hill.")
    context_s = (wanted.spans.spans[0].length_samples) / SAMPLE_RATE_HZ
    assert context_s <= SETTINGS.context_s + SegmenterSettings().post_roll_ms / 1000 + 0.5


@pytest.mark.parametrize("delay", CommitDelay)
def test_each_commit_delay_settles_words_in_mid_sentence(delay: CommitDelay) -> None:
    said = monologue(20, sentence_words=100)
    played = play(session(replace(ENGLISH, commit_delay=delay)), speech(said))
    assert any(0 < len(one.committed_text) < len(said) / 2 for one in played.partials)


def test_faster_commit_delay_settles_sooner() -> None:
    said = speech(monologue(20, sentence_words=100))
    waited_samples = []
    for delay in (CommitDelay.FAST, CommitDelay.BALANCED, CommitDelay.ACCURATE):
        settled_at: dict[int, int] = {}
        for one in play(session(replace(ENGLISH, commit_delay=delay)), said).partials:
            for index in range(len(one.committed_words)):
                settled_at.setdefault(index, one.heard_samples)
        waited_samples.append(sum(settled_at[index] for index in range(10)))
    assert waited_samples == sorted(set(waited_samples))


def test_session_without_partials_shows_none() -> None:
    played = play(session(replace(ENGLISH, partials=False)), speech(*STORY, monologue(60)))
    check_contract(played)
    assert played.partials == []
    assert played.text == " ".join([*STORY, monologue(60)])


@pytest.mark.parametrize("chunk_samples", [320, 5000, 16_000, 10**7])
def test_final_text_does_not_depend_on_chunks(chunk_samples: int) -> None:
    said = speech(*STORY, monologue(100))
    played = play(session(), said, chunk_samples=chunk_samples)
    check_contract(played)
    assert played.text == " ".join([*STORY, monologue(100)])


@pytest.mark.parametrize("options", [ENGLISH, replace(ENGLISH, partials=False)], ids=["live", "quiet"])
def test_slow_steps_delay_no_session_for_ever(options: SessionOptions) -> None:
    """The interval follows the length of a step, and may be longer than what a window takes at a time."""
    played = play(session(options), speech(*STORY, monologue(60)), interval_ms=20_000)
    check_contract(played)
    assert played.text == " ".join([*STORY, monologue(60)])


def test_commit_ends_the_segment_at_once() -> None:
    said = speech(STORY[0], word_s=0.4)
    at = said.words[2].end_samples + 200
    played = play(session(), said, commits_samples=[at])
    check_contract(played)
    assert [final.text for final in played.finals] == ["The old house", "stood on a hill."]
    assert played.finals[0].end_samples <= at
    assert played.outputs.index(Committed(at)) == played.outputs.index(played.finals[0]) + 1


# --- what is not believed -------------------------------------------------------------------------------------------


def test_words_made_up_at_the_edge_are_not_believed() -> None:
    def loops(wanted: Pass, job: Job, heard: Heard) -> Heard:
        end = wanted.spans.length_samples
        again = [replace(word(" again.", 0, 0), start_samples=end, end_samples=end) for _ in range(20)]
        return replace(heard, words=(*heard.words, *again))

    played = play(session(), speech("Turn on the lights."), decoder=loops)
    assert played.text.count("again") <= 1
    assert played.text.startswith("Turn on the lights")


def test_noise_gives_no_text() -> None:
    def unsure(_: Pass, __: Job, heard: Heard) -> Heard:
        return replace(heard, log_probability=-1.5, no_speech_probability=0.9)

    played = play(session(), speech("Thanks.", word_s=0.3), decoder=unsure)
    assert played.finals == []


def test_noise_gives_an_empty_final_if_a_session_has_turns() -> None:
    def nothing(_: Pass, __: Job, ___: Heard) -> Heard:
        return answer(())

    played = play(session(replace(ENGLISH, turns=True)), speech("Hm.", word_s=0.3), decoder=nothing)
    assert [(final.text, final.language) for final in played.finals] == [("", None)]


def test_rest_is_decoded_alone_if_forced_words_end_the_text() -> None:
    def deaf(_: Pass, job: Job, heard: Heard) -> Heard:
        return heard if not job.forced else answer((), lead=heard.lead)

    played = play(session(), speech(*STORY), decoder=deaf)
    check_contract(played)
    assert played.text == " ".join(STORY)


def test_words_decoded_again_without_context_are_dropped() -> None:
    """Without the audio before it, a retry may begin with the word that was settled."""

    def deaf(wanted: Pass, job: Job, heard: Heard) -> Heard:
        if job.forced:
            return answer((), lead=heard.lead)
        before = [one for one in said.words if one.end_samples <= wanted.spans.start_samples]
        return replace(heard, words=(word(before[-1].text, 0.0, 0.1), *heard.words)) if before else heard

    said = speech(" ".join(STORY))
    played = play(session(), said, decoder=deaf)
    assert played.text == " ".join(STORY)


@pytest.mark.parametrize("partials", [True, False])
def test_rest_that_the_decoder_leaves_out_when_a_segment_ends_is_decoded_alone(partials: bool) -> None:
    def stops(_: Pass, job: Job, heard: Heard) -> Heard:
        return replace(heard, words=heard.words[:-3]) if job.closing and len(heard.words) > 3 else heard

    options = replace(ENGLISH, partials=partials, commit_delay=CommitDelay.ACCURATE)
    played = play(session(options), speech(*STORY), decoder=stops)
    check_contract(played)
    assert played.text == " ".join(STORY)
    assert [one.text for final in played.finals for one in final.words] == " ".join(STORY).split()


def test_rest_that_the_aligner_adds_to_the_last_word_is_decoded_alone() -> None:
    def stops(_: Pass, job: Job, heard: Heard) -> Heard:
        if not job.closing or len(heard.words) < 6:
            return heard
        *before, last = heard.words[:-5]
        return replace(heard, words=(*before, replace(last, end_samples=heard.words[-1].end_samples)))

    said = "if he is in it we go on to it"
    options = replace(ENGLISH, partials=False)
    played = play(session(options), speech(said), decoder=stops)
    check_contract(played)
    assert played.text == said


def test_short_sentence_that_repeats_the_one_before_is_written_again() -> None:
    """Here 0.6 s: too little to be missed in mid-sentence."""

    def deaf(_: Pass, job: Job, heard: Heard) -> Heard:
        return heard if not job.forced else answer((), lead=heard.lead)

    said = speech("Hip hip hooray!", "Hip hip hooray!", word_s=0.2, pause_s=0.7)
    played = play(session(), said, decoder=deaf)
    check_contract(played)
    assert [final.text for final in played.finals] == ["Hip hip hooray!"] * 2


def twice(heard: Heard) -> Heard:
    """Its words once more, and all of them in half of the time."""
    if not heard.words:
        return heard
    start, end = heard.words[0].start_samples, heard.words[-1].end_samples
    again = heard.words * 2
    edges = [start + (end - start) * index // len(again) for index in range(len(again) + 1)]
    placed = zip(again, edges, edges[1:], strict=False)
    return replace(heard, words=tuple(replace(one, start_samples=a, end_samples=b) for one, a, b in placed))


def miscounts(_: Pass, job: Job, heard: Heard) -> Heard:
    return twice(heard) if job.forced else heard


@pytest.mark.parametrize("partials", [True, False])
def test_repetitions_are_counted_without_context(partials: bool) -> None:
    """With the earlier ones before them, decoders write one too many."""
    played = play(session(replace(ENGLISH, partials=partials)), speech(*["Stop."] * 4), decoder=miscounts)
    check_contract(played)
    assert [final.text for final in played.finals] == ["Stop."] * 4


def test_repetitions_stay_if_other_words_are_heard_without_context() -> None:
    def mishears(wanted: Pass, job: Job, heard: Heard) -> Heard:
        if job.forced or wanted.end_samples < said.words[-1].start_samples:
            return miscounts(wanted, job, heard)
        return replace(heard, words=tuple(word(" stub", 0.1, 0.4) for _ in heard.words))

    said = speech("Go stop.", "Stop.")
    said.is_strict = False
    played = play(session(), said, decoder=mishears)
    check_contract(played)
    assert [final.text for final in played.finals] == ["Go stop.", "Stop. Stop."]
    assert not played.jobs[-1].forced, "it was decoded without context"


def test_answer_to_an_earlier_doubt_is_not_taken_for_more_audio() -> None:
    """The speaker goes on while the repetitions are decoded, and the segment ends before they are counted again."""
    parts = *words("Stop.", 0.5, 0.4), *words("Stop stop", 2.5, 0.4), *words("please now.", 3.6, 0.3)
    said = Speech(parts, 6 * SAMPLE_RATE_HZ)
    live, played, first_samples = session(), Played(), round(3.55 * SAMPLE_RATE_HZ)

    def goes_on(wanted: Pass, _: Job, heard: Heard) -> Heard:
        if wanted.kind is Kind.CLOSING and len(heard.words) == 2 and not live.endpointing.finished:
            live.endpointing.audio.append(np.zeros(said.length_samples - first_samples, np.float32))
            live.endpointing.finish()
        return heard

    for start, end in pairwise((0, 16_000, 32_000, 40_000, 48_000, first_samples)):
        live.endpointing.audio.append(np.zeros(end - start, np.float32))
        drain(live, said, played, decoder=goes_on, language=lambda _: "en", interval_ms=INTERVAL_MS)
    check_contract(played)
    assert [final.text for final in played.finals] == ["Stop.", "Stop stop please now."]


@pytest.mark.parametrize("word_s", [0.3, 0.4, 0.6])
def test_repetitions_in_one_breath_are_all_written(word_s: float) -> None:
    played = play(session(), speech("I said no no no.", "We go home go home go home.", word_s=word_s))
    check_contract(played)
    assert played.text == "I said no no no. We go home go home go home."


# --- languages ------------------------------------------------------------------------------------------------------


def test_given_language_is_kept_and_nothing_is_detected() -> None:
    played = play(session(), speech(*STORY), language=lambda _: "de")
    assert {job.language for job in played.jobs} == {"en"}
    assert {final.language for final in played.finals} == {"en"}


def test_each_sentence_is_decoded_in_its_language() -> None:
    said = speech(STORY[1], STORY[1], STORY[0])
    turn = said.words[10].end_samples + 1000
    played = play(session(SessionOptions()), said, language=lambda at: "en" if at < turn else "es")
    assert [final.language for final in played.finals] == ["en", "es", "es"]
    first_spanish = next(
        wanted
        for wanted, job in zip(played.passes, played.jobs, strict=True)
        if job.language == "es" and not job.forced
    )
    assert first_spanish.spans.start_samples >= played.finals[0].end_samples - SAMPLE_RATE_HZ


def test_language_is_chosen_among_those_that_are_allowed() -> None:
    played = play(session(SessionOptions(languages=("en", "es"))), speech(*STORY), language=lambda _: "de")
    assert {job.language for job in played.jobs} <= {"en", "es"}


def test_translation_settles_nothing_and_forces_nothing() -> None:
    options = SessionOptions(mode=Mode.TRANSLATE, language="de")
    played = play(session(options), speech(*STORY, monologue(40)))
    assert all(job.translate and not job.forced for job in played.jobs)
    assert all(not one.committed_text for one in played.partials)
    assert played.text == " ".join([*STORY, monologue(40)])


# --- a new owner ----------------------------------------------------------------------------------------------------


def test_new_owner_starts_with_the_committed_text() -> None:
    said = speech(STORY[0], monologue(18, sentence_words=100))
    former = play(session(), said)
    before = former.finals[0]
    shown = next(one for one in former.partials if one.segment == 1 and len(one.committed_words) >= 6)
    history = History(
        start_samples=before.start_samples,
        words=tuple(SettledWord(f" {one.text}", one.end_samples) for one in before.words),
        committed=shown.committed_words,
        committed_text=shown.committed_text,
    )
    new = session(place=Place(before.end_samples, 1))
    new.recall(history, tokens)
    played = play(new, said, start_samples=history.start_samples)
    assert played.partials
    assert all(one.committed_text.startswith(shown.committed_text) for one in played.partials)
    [final] = played.finals
    assert (final.segment, final.text) == (1, monologue(18, sentence_words=100))
    assert all(wanted.spans.start_samples >= history.start_samples for wanted in played.passes)


def test_new_owner_without_history_starts_at_the_checkpoint() -> None:
    said = speech(*STORY)
    checkpoint = said.words[6].end_samples + SAMPLE_RATE_HZ // 4
    new = session(place=Place(checkpoint, 1))
    new.recall(History(checkpoint, ()), tokens)
    played = play(new, said, start_samples=checkpoint)
    assert [(final.segment, final.text) for final in played.finals] == [(1, STORY[1]), (2, STORY[2])]


# --- whatever the decoder says --------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(st.integers(0, 2**31), st.sampled_from([800, 4000, 40_000]), st.booleans())
def test_settled_text_is_never_taken_back(seed: int, chunk_samples: int, partials: bool) -> None:
    numbers = np.random.default_rng(seed)

    def errs(wanted: Pass, _: Job, heard: Heard) -> Heard:
        found = []
        for one in heard.words[: numbers.integers(0, 20)]:
            shifted = [
                min(max(0, at + int(numbers.integers(-1600, 1600))), wanted.spans.length_samples)
                for at in (one.start_samples, one.end_samples)
            ]
            said_as = " other" if numbers.random() < 0.2 else one.text
            start, end = sorted(shifted)
            probability = numbers.random()
            found.append(replace(one, text=said_as, tokens=tokens(said_as), start_samples=start, end_samples=end))
            found[-1] = replace(found[-1], probability=probability)
        return replace(heard, words=tuple(found), log_probability=-2 * numbers.random())

    said = replace(speech(*STORY[:2], monologue(50), STORY[2], pause_s=0.8), is_strict=False)
    played = play(session(replace(ENGLISH, partials=partials)), said, decoder=errs, chunk_samples=chunk_samples)
    check_contract(played)


def test_words_and_finals_have_the_confidence_of_the_decoder() -> None:
    said = speech(STORY[0])
    confidences = [0.5 + index / 20 for index in range(len(said.words))]
    scored = [replace(one, confidence=value) for one, value in zip(said.words, confidences, strict=True)]
    played = play(session(), replace(said, words=tuple(scored)))
    [final] = played.finals
    assert [one.confidence for one in final.words] == confidences
    assert final.scores == Scores(confidence=pytest.approx(sum(confidences) / len(confidences)))
    assert played.partials[-1].committed_words[0].confidence == confidences[0]
