"""How proposals are put into the tokens of a decoded text."""

from hypothesis import given
from hypothesis import strategies as st

from worker.engines.keyterms.spans import Proposal
from worker.engines.whisper.rescoring import Text
from worker.engines.whisper.words import HeardWord, Piece, Spelling

LEAD = Piece(",", (90,))
WORDS = tuple(
    HeardWord(f" w{number}", mark, (number,), (100 + number,) if mark else (), 0, 0, 1.0)
    for number, mark in enumerate(("", ",", "", "", "."))
)


def encode(text: str) -> tuple[int, ...]:
    return tuple(1000 + ord(one) for one in text)


def text() -> Text:
    spelled = Spelling((LEAD,), ())
    return Text(None, 0, 16_000, (), "en", translate=False, closing=True, prompt=None, aligned=(spelled, WORDS))


def proposal(start: int, stop: int, term: str) -> Proposal:
    return Proposal(start, stop, term, 1.0, 1.0)


def test_text_without_proposals_is_what_was_decoded() -> None:
    assert text().tokens(encode=encode) == [90, 0, 1, 101, 2, 3, 4, 104]


def test_terms_replace_words_and_leave_the_mark_after_them() -> None:
    found = text().tokens(proposal(3, 5, " b"), proposal(0, 1, " a"), encode=encode)
    assert found == [90, *encode(" a"), 1, 101, 2, *encode(" b"), 104]


@given(st.integers(0, 4), st.integers(1, 5))
def test_words_outside_of_a_proposal_stay(start: int, length: int) -> None:
    stop = min(start + length, len(WORDS))
    found = text().tokens(proposal(start, stop, " a"), encode=encode)
    kept = [token for word in (*WORDS[:start], *WORDS[stop:]) for token in (*word.tokens, *word.mark_tokens)]
    assert [token for token in found if token < 90 or 100 <= token < 1000] == sorted(
        [*kept, *WORDS[stop - 1].mark_tokens], key=found.index
    )
