"""Which finals of a session are decoded again, and what their answers change."""

from dataclasses import replace
from typing import Any

import numpy as np
import orjson
import pytest

from shared.events import SAMPLE_RATE_HZ, Scores, Word
from shared.session_options import Mode, SessionOptions
from tests.unit.worker.claimed_sessions import claimed
from tests.unit.worker.second_pass.tasks import answer
from worker.engines.base import Final, Finished
from worker.second_pass.backlog import Task
from worker.second_pass.revisions import MARGIN_SAMPLES, Revisions
from worker.session import WorkerSession
from worker.speakers.labelling import Labelling
from worker.speakers.outputs import Released

ON = SessionOptions(revise=True)
SECOND = SAMPLE_RATE_HZ


def session(options: SessionOptions = ON, *, by_default: bool = False, **changes: Any) -> WorkerSession:
    revisions = Revisions(by_default=by_default, modes=(Mode.TRANSCRIBE, Mode.TRANSLATE))
    return claimed(revisions=revisions, options=options, **changes)


def final(segment: int, text: str, start_s: float = 0.0, end_s: float = 1.0, **changes: Any) -> Final:
    start, end = round(start_s * SECOND), round(end_s * SECOND)
    whole = Final(segment, text, start, end, end, end, words=(), language="en", model_ms=1.0)
    return replace(whole, **changes)


def heard(session: WorkerSession, until_s: float, *finals: Final) -> list[Task]:
    """The tasks of finals about audio that has arrived."""
    assert session.revisions is not None
    start = session.read_samples
    pcm = np.arange(start, round(until_s * SECOND), dtype=np.int64).astype(np.int16)
    session.arrived(start + len(pcm), 0.0, 0.0)
    session.keep(session.handle, pcm.astype(np.float32) / np.float32(32768))
    for one in finals:
        session.take(one, 0, 0)
    return session.revisions.take_tasks()


def events(session: WorkerSession) -> list[dict[str, Any]]:
    return [orjson.loads(payload.partition(b"\n")[0]) for _, payload in session.outbox]


def test_answer_replaces_the_text_of_its_final() -> None:
    one = session()
    heard(one, 2.0, final(0, "Won."), final(1, "Too.", 1.0, 2.0))
    assert one.revise(1, answer("Two words."))
    told = events(one)[-1]
    assert told["words"][1] == {"text": "words.", "start": 0.006, "end": 0.013, "confidence": 0.5}
    assert told == {
        **{
            "type": "revised",
            "session_id": "s1",
            "seq": 4,
            "segment": 1,
            "text": "Two words.",
            "start": 1.0,
            "end": 2.0,
        },
        **{"language": "en", "mode": "transcribe", "confidence": 0.5, "avg_logprob": -0.25, "no_speech_prob": 0.125},
        "words": told["words"],
        "pending": 1,
    }
    kind, payload = one.outbox[-1]
    entry = orjson.loads(payload.partition(b"\n")[2])
    assert kind == "r1"
    assert (entry["type"], entry["seq"], entry["revised_seq"], entry["text"]) == ("final", 3, 4, "Two words.")
    assert "latency" in entry
    assert one.texts == ["Won.", "Two words."]


@pytest.mark.parametrize("said", [answer("Won."), answer(""), None])
def test_nothing_is_sent_if_the_text_stays(said: Any) -> None:
    one = session()
    heard(one, 1.0, final(0, "Won."))
    assert not one.revise(0, said)
    assert [event["type"] for event in events(one)] == ["ready", "final"]
    assert not one.revise(0, answer("Late.")), "each final is answered once"


def test_done_waits_for_the_answers_and_has_their_texts() -> None:
    one = session()
    heard(one, 2.0, final(0, "Won."), final(1, "Too.", 1.0, 2.0))
    one.take(Finished(), 0, 0)
    assert one.ending is None
    one.revise(0, answer("One."))
    one.revise(1, None)
    assert [(event["type"], event["text"]) for event in events(one)[-2:]] == [
        ("revised", "One."),
        ("done", "One. Too."),
    ]
    assert not one.revise(1, answer("Two.")), "nothing follows the end"


def test_clients_of_other_services_do_not_wait() -> None:
    one = session(replace(ON, turns=True))
    heard(one, 1.0, final(0, "Won."))
    one.take(Finished(), 0, 0)
    assert events(one)[-1]["type"] == "done"


def test_new_owner_knows_revised_texts_and_revises_only_its_own_finals() -> None:
    one = session(seq=9, checkpoint_samples=SECOND, segment=1, texts=("One.",))
    assert not one.revise(0, answer("Won.")), "an answer for the former owner"
    [task] = heard(one, 2.0, final(1, "Too.", 1.0, 2.0))
    assert (task.index, task.start_samples, len(task.pcm)) == (1, SECOND, SECOND)
    one.revise(1, answer("Two."))
    one.take(Finished(), 0, 0)
    assert events(one)[-1]["text"] == "One. Two."


def test_audio_has_a_margin_that_belongs_to_no_other_final() -> None:
    one = session()
    first = final(0, "One", 0.5, 1.0, resume_samples=round(1.5 * SECOND))
    near = final(1, "two", 1.1, 2.0, resume_samples=round(2.05 * SECOND))
    tasks = heard(one, 3.0, first, near)
    spans = [(task.start_samples, task.start_samples + len(task.pcm)) for task in tasks]
    assert spans == [
        (SECOND // 2 - MARGIN_SAMPLES, SECOND + MARGIN_SAMPLES),
        (round(1.1 * SECOND), round(2.05 * SECOND)),
    ]
    assert [task.lead_samples for task in tasks] == [0, MARGIN_SAMPLES], "silence takes the place of the margin"
    assert tasks[1].pcm[0] == round(1.1 * SECOND)


def test_wording_of_the_final_applies_to_its_revision() -> None:
    one = session(replace(ON, redact=("numbers",), filler_words="drop"))
    heard(one, 1.0, final(0, "I have 20 dogs"))
    one.configure(ON, b"{}", SECOND)
    assert not one.revise(0, answer("uh I have 25 dogs")), "it is the same after redaction"
    heard(one, 2.0, final(1, "Call 12.", 1.0, 2.0))
    one.revise(1, answer("Call 13 now."))
    assert one.texts == ["I have [NUMBER] dogs", "Call 13 now."]
    assert b"25 dogs" not in b"".join(payload for _, payload in one.outbox)


@pytest.mark.parametrize("language", [None, "de"])
def test_revised_translation_is_redacted_as_english(language: str | None) -> None:
    one = session(replace(ON, mode=Mode.TRANSLATE, language=language, redact=("phones",)))
    heard(one, 1.0, final(0, "Call five five five one two three four.", language="de"))
    one.revise(0, replace(answer("Dial five five five one two three four."), language="de"))
    assert one.texts == ["Dial [PHONE]."]


def test_only_sessions_that_want_it_are_revised() -> None:
    assert not heard(session(SessionOptions()), 1.0, final(0, "One."))
    assert heard(session(SessionOptions(), by_default=True), 1.0, final(0, "One."))
    assert not heard(session(SessionOptions(revise=False), by_default=True), 1.0, final(0, "One."))
    later = session(SessionOptions())
    assert not heard(later, 1.0, final(0, "One."))
    later.configure(ON, b"{}", SECOND)
    assert [task.index for task in heard(later, 2.0, final(1, "Two.", 1.0, 2.0))] == [1]


def test_finals_without_text_or_beyond_the_models_window_are_not_decoded_again() -> None:
    one = session()
    assert not heard(one, 40.0, final(0, ""), final(1, "Long.", 1.0, 31.0))
    assert heard(one, 41.0, final(2, "Short.", 31.0, 32.0))


def test_session_without_a_second_model_warns_once() -> None:
    one = claimed(options=ON)
    one.configure(replace(ON, language="en"), b"{}", 0)
    told = events(one)[1:]
    assert [(event["code"], event["message"]) for event in told] == [
        ("revise_ignored", "revise has no effect: this server has no second model.")
    ]
    assert claimed(options=ON, seq=3).outbox == [], "its former owner has warned"
    later = claimed()
    later.configure(ON, b"{}", 0)
    assert events(later)[-1]["code"] == "revise_ignored"


@pytest.mark.parametrize(
    ("confidence", "avg_logprob", "is_revised"),
    [(0.6, -1.2, False), (0.6, -0.8, True), (None, -1.2, True), (0.6, None, True)],
)
def test_made_up_answer_is_ignored(confidence: float | None, avg_logprob: float | None, *, is_revised: bool) -> None:
    one = session()
    heard(one, 1.0, final(0, "Won.", scores=Scores(confidence)))
    assert one.revise(0, replace(answer("One."), scores=Scores(0.5, avg_logprob))) == is_revised


def diarized(labelling: Labelling | None, **changes: Any) -> WorkerSession:
    """A session with a final of three words between 0 and 3 s, with these labels."""
    one = session(replace(ON, diarize=True), **changes)
    words = tuple(Word(text, at * SECOND, (at + 1) * SECOND) for at, text in enumerate(("Won", "too", "three.")))
    heard(one, 3.0)
    released = Released(None, 0.0, 0, labelling, b"{}")
    one.take(final(0, "Won too three.", 0.0, 3.0, words=words), 0, 0, released=released)
    return one


A_THEN_B = Labelling(((0, 2 * SECOND), (2 * SECOND, 3 * SECOND)), ("A", "B"))
"""The first 2 s, and the rest."""
REVISED = (Word("One", 0, SECOND), Word("two.", 2 * SECOND, 3 * SECOND))


def test_revised_words_have_the_labels_of_their_places() -> None:
    one = diarized(A_THEN_B)
    one.revise(0, replace(answer("One two."), words=REVISED))
    told = events(one)[-1]
    assert [word["speaker"] for word in told["words"]] == ["A", "B"]
    assert told.get("speaker_unsure"), "neither has most of the speech"
    entry = orjson.loads(one.outbox[-1][1].partition(b"\n")[2])
    assert entry["words"] == told["words"]
    assert "speaker" not in entry, "the label of the first text is gone"


def test_later_labels_are_about_the_revised_words() -> None:
    one = diarized(A_THEN_B)
    one.revise(0, replace(answer("One two."), words=REVISED))
    one.relabel(one.handles[0], {0: replace(A_THEN_B, labels=("A", "A"))})
    assert events(one)[-1]["segments"] == [{"segment": 0, "speaker": "A", "word_speakers": ["A", "A"]}]


def test_revised_text_has_the_newest_labels() -> None:
    one = diarized(None)
    one.relabel(one.handles[0], {0: replace(A_THEN_B, labels=("A", "A"))})
    one.relabel(one.handles[0], {0: replace(A_THEN_B, labels=("Ann", "Ann"))})
    one.revise(0, replace(answer("One two."), words=REVISED))
    assert [word["speaker"] for word in events(one)[-1]["words"]] == ["Ann", "Ann"]
    assert events(one)[-1]["speaker"] == "Ann"


def test_text_that_is_revised_before_its_labels_gets_them_later() -> None:
    one = diarized(None)
    one.revise(0, replace(answer("One two."), words=REVISED))
    assert "speaker" not in events(one)[-1]
    one.relabel(one.handles[0], {0: A_THEN_B})
    assert events(one)[-1]["segments"] == [{"segment": 0, "speaker_unsure": True, "word_speakers": ["A", "B"]}]
