"""The text of a session as its worker writes it: what partials and finals contain, and from when on."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from shared.events import Word
from shared.session_options import FillerWords, Mode, Profanity, Redaction, SessionOptions
from tests.unit.worker import claimed_sessions
from worker.commitment import Commitment
from worker.engines.base import Final, Finished, Partial
from worker.session import WorkerSession

PHONE = SessionOptions(redact=(Redaction.PHONES,))


def claimed(options: SessionOptions, committed: Commitment | None = None) -> WorkerSession:
    return claimed_sessions.claimed(options=options, committed=committed)


def final(text: str, *, segment: int = 0, start: int = 0, language: str | None = "en") -> Final:
    words = tuple(Word(word, start + 1600 * at, start + 1600 * (at + 1)) for at, word in enumerate(text.split()))
    end = start + 1600 * len(words)
    return Final(segment, text, start, end, end, end, words, language, 7.0)


def partial(text: str, committed: str = "", *, segment: int = 0, start: int = 0) -> Partial:
    words = tuple(Word(word, start, start) for word in committed.split())
    return Partial(segment, text, start, start + 1600, 5.0, committed, words)


def said(session: WorkerSession, *outputs: Any) -> list[dict[str, Any]]:
    for output in outputs:
        session.take(output, 0, 0)
    return [orjson.loads(payload) for _, payload in session.outbox[1:]]


def test_steps_follow_each_other_and_words_keep_their_times() -> None:
    options = SessionOptions(
        numerals=True, profanity=Profanity.MASK, filler_words=FillerWords.DROP, redact=(Redaction.PHONES,),
        redact_terms=("Smith",),
    )  # fmt: skip
    text = "Um, shit, Smith has twenty five dogs, call five five five one two three four five six seven."
    [event, done] = said(claimed(options), final(text), Finished())
    assert event["text"] == "S***, [REDACTED] has 25 dogs, call [PHONE]."
    assert done["text"] == event["text"]
    times = {word["text"]: (word["start"], word["end"]) for word in event["words"]}
    assert times["25"] == (0.4, 0.6)
    assert times["[PHONE]."] == (0.8, 1.8)
    assert times["S***,"] == (0.1, 0.2)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("We call it Project Five, and room twenty-one.", "We call it [REDACTED], and room [REDACTED]."),
        ("We call it Project um Five.", "We call it [REDACTED]."),
        ("Mr. Prick, shit, um, called at seven.", "Mr. [REDACTED], s***, called at 7."),
        ("She is, uh, at Um Corp.", "She is, at [REDACTED]."),
        ("It is jane.prick@example.com.", "It is [EMAIL].[REDACTED]@[EMAIL]."),
        ("It is five five five uh one two three four.", "It is [PHONE]."),
    ],
)
def test_terms_are_found_as_they_are_said(text: str, written: str) -> None:
    options = SessionOptions(
        numerals=True, profanity=Profanity.MASK, filler_words=FillerWords.DROP, redact=("emails", "phones"),
        redact_terms=("Project Five", "twenty-one", "Prick", "Um Corp"),
    )  # fmt: skip
    [event] = said(claimed(options), final(text))
    assert event["text"] == written
    assert "".join(word["text"] for word in event["words"]) == written.replace(" ", "")


def test_nothing_of_redacted_speech_is_sent_before_its_final() -> None:
    session = claimed(PHONE)
    events = said(session, partial("call 555 123", "call 555"), final("call 555 123 4567"))
    assert [(event["type"], event["text"]) for event in events] == [("final", "call [PHONE]")]
    assert session.tracks[0].committed.text == ""
    assert session.pending().committed is None
    assert b"555" not in b"".join(payload for _, payload in session.outbox)


@pytest.mark.parametrize(
    ("options", "written"),
    [
        (SessionOptions(numerals=True, language="en"), "um 25 shit"),
        (SessionOptions(profanity=Profanity.MASK, language="en"), "um twenty five s***"),
        (SessionOptions(filler_words=FillerWords.DROP, language="en"), "twenty five shit"),
    ],
)
def test_partials_are_written_alike_and_nothing_is_committed(options: SessionOptions, written: str) -> None:
    session = claimed(options)
    events = said(session, partial("um twenty five shit", "um twenty"), final("um twenty five shit"))
    assert [event["text"] for event in events] == [written, written]
    assert "committed" not in events[0]


def test_a_partial_of_nothing_but_fillers_is_not_sent() -> None:
    options = SessionOptions(filler_words=FillerWords.DROP, language="en")
    events = said(claimed(options), partial("um"), final("um."))
    assert [(event["type"], event["text"], event["words"]) for event in events] == [("final", "", [])]


def test_without_options_everything_stays() -> None:
    kept = SessionOptions(numerals=False, profanity=Profanity.KEEP, filler_words=FillerWords.KEEP, redact=())
    events = said(claimed(kept), partial("um twenty five", "um twenty"), final("um twenty five"))
    assert [event["text"] for event in events] == ["um twenty five"] * 2
    assert events[0]["committed"]["text"] == "um twenty"


def test_changes_hold_from_the_next_segment_on() -> None:
    session = claimed(SessionOptions(language="en"))
    said(session, partial("twenty five", "twenty"))
    session.configure(SessionOptions(language="en", numerals=True), b"", 1600)
    session.configure(SessionOptions(language="en"), b"", 8000)
    events = said(
        session,
        final("twenty five"),
        final("twenty five", segment=1, start=3200),
        final("twenty five", segment=2, start=8000),
    )
    assert [event["text"] for event in events] == ["twenty five", "twenty five", "25", "twenty five"]
    assert events[0]["committed"]["text"] == "twenty"


def test_speech_before_redaction_is_turned_off_is_redacted() -> None:
    session = claimed(PHONE)
    session.configure(SessionOptions(), b"", 5000)
    session.configure(SessionOptions(redact_terms=("Smith",)), b"", 6000)
    late = replace(final("Smith, call 555 123 4567", start=1600), heard_samples=12_000)
    events = said(session, late, final("Smith: 555 123 4567", segment=1, start=12_000))
    assert [event["text"] for event in events] == ["[REDACTED], call [PHONE]", "[REDACTED]: 555 123 4567"]


def test_redaction_that_is_turned_on_applies_to_speech_whose_text_is_not_known_yet() -> None:
    session = claimed(SessionOptions())
    session.configure(PHONE, b"", 5000)
    [event] = said(session, replace(final("call 555 123 4567", start=1600, language="en"), heard_samples=12_000))
    assert event["text"] == "call [PHONE]"


def test_redaction_that_is_turned_off_holds_to_the_end_of_its_segment() -> None:
    session = claimed(PHONE)
    said(session, partial("call 555"))
    session.configure(replace(PHONE, redact=None), b"", 1000)
    events = said(session, final("call 555 123 4567"), final("call 555 123 4567", segment=1, start=8000))
    assert [event["text"] for event in events] == ["call [PHONE]", "call 555 123 4567"]


def test_committed_text_of_a_previous_owner_stays() -> None:
    kept = Commitment(0, "twenty", (), 0, 1600)
    [event] = said(claimed(SessionOptions(language="en", numerals=True), kept), final("twenty five"))
    assert event["text"] == "twenty five"


@pytest.mark.parametrize(
    ("options", "language", "codes"),
    [
        (SessionOptions(numerals=True), None, ["numerals_ignored"]),
        (SessionOptions(numerals=True, language="en"), None, []),
        (SessionOptions(numerals=True), "ja", ["numerals_ignored"]),
        (SessionOptions(profanity=Profanity.MASK), "ja", ["profanity_ignored"]),
        (SessionOptions(profanity=Profanity.MASK), None, []),
        (SessionOptions(filler_words=FillerWords.DROP), "ja", ["filler_words_ignored"]),
        (PHONE, None, ["redact_limited"]),
        (SessionOptions(redact=(Redaction.EMAILS,)), None, []),
        (SessionOptions(mode=Mode.TRANSLATE, numerals=True), "ja", []),
        (SessionOptions(), None, []),
    ],
)
def test_what_has_no_effect_is_reported_once(options: SessionOptions, language: str | None, codes: list[str]) -> None:
    session = claimed(options)
    events = said(session, final("Hello.", language=language), final("Bye.", segment=1, start=3200, language=language))
    assert [event["code"] for event in events if event["type"] == "warning"] == codes


def test_options_survive_redis() -> None:
    options = SessionOptions(
        numerals=True, profanity=Profanity.MASK, filler_words=FillerWords.DROP, redact=(Redaction.CARDS,),
        redact_terms=("Smith",),
    )  # fmt: skip
    assert SessionOptions.from_wire(orjson.loads(orjson.dumps(options.to_wire()))) == options
    assert "redact_terms" not in options.without_text(), "operators see tasks"
    assert options.without_text()["redact"] == ("cards",)
