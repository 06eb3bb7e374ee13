"""Which words are settled, which are shown: words only grow, and wait for agreement, distance and certainty."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.events import SAMPLE_RATE_HZ
from shared.session_options import CommitDelay
from tests.unit.worker.engines.whisper.heard_words import tokens, word, words
from worker.engines.whisper.transcript import ALONE_LAG_S, NEVER, OVERDUE_S, RULES, Rule, Transcript, joined
from worker.engines.whisper.words import HeardWord

RULE = Rule(
    lag_s=1.0,
    unsure_lag_s=2.5,
    sure_probability=0.5,
    agreement_s=0.8,
    hold_s=0.1,
    unsure_hold_s=0.4,
)


class Played:
    """A transcript that hears one hypothesis after the other, of words that begin at fixed times."""

    def __init__(self, rule: Rule = RULE) -> None:
        self.transcript = Transcript()
        self._rule = rule

    def hear(
        self, text: str, edge_s: float, *, lead: str = "", start_s: float = 0.0, probability: float = 0.9
    ) -> tuple[str, str]:
        """The settled and the shown text after a hypothesis of the words that follow the settled ones."""
        heard = words(text, start_s, probability=probability)
        self.transcript.hear(heard, lead, tokens(lead), round(edge_s * SAMPLE_RATE_HZ), self._rule)
        return self.transcript.settled_text, self.transcript.shown_text


def test_words_are_settled_when_hypotheses_agree_for_long_enough() -> None:
    played = Played()
    assert played.hear("the old house stands", 2.0) == ("", "the old house")
    assert played.hear("the old house stands", 2.4)[0] == "the old"
    assert played.hear("house stands", 2.8, start_s=1.0)[0] == "the old house"


def test_words_on_which_hypotheses_differ_wait() -> None:
    played = Played()
    for edge_s, text in ((2.0, "the old house"), (2.2, "the cold house"), (2.4, "the old house")):
        assert played.hear(text, edge_s)[0] in ("", "the")
    assert played.hear("old house", 2.8, start_s=0.5)[0] == "the"
    assert played.hear("old house", 3.3, start_s=0.5)[0] == "the old house"


def test_hypotheses_are_the_same_but_for_case_and_marks() -> None:
    played = Played()
    played.hear("The old, house", 2.0)
    assert played.hear("the Old house", 2.4)[0] == "the Old"


def test_unsure_words_wait_longer_and_hold_back_those_after_them() -> None:
    played = Played()
    heard = [word(" sure", 0.0, 0.5), word(" unsure", 0.5, 1.0, 0.3), word(" again", 1.0, 1.5)]
    transcript = played.transcript
    for edge_s, settled in ((2.6, ""), (3.0, "sure"), (3.4, "sure"), (3.6, "sure unsure again")):
        transcript.hear(heard, "", (), round(edge_s * SAMPLE_RATE_HZ), RULE)
        assert transcript.settled_text == settled
        if settled == "sure":
            heard = heard[-2:]


def test_one_hypothesis_alone_settles_only_words_far_before_the_edge() -> None:
    assert Played().hear("one two three", 0.5 + ALONE_LAG_S - 0.01)[0] == ""
    assert Played().hear("one two three", 0.5 + ALONE_LAG_S)[0] == "one"


def test_two_hypotheses_are_enough_if_a_busy_machine_decodes_seldom() -> None:
    played = Played()
    played.hear("one two three", 1.6)
    assert played.hear("one two three", 1.6 + 2 * RULE.agreement_s)[0] == "one two three"
    assert played.hear("four", 5.0, start_s=3.0)[0] == "one two three"


def test_overdue_words_are_settled_although_hypotheses_differ() -> None:
    played = Played()
    for index in range(40):
        edge_s = 1.0 + 0.2 * index
        text = "old" if index % 2 else "cold"
        settled, _ = played.hear(text, edge_s)
        if settled:
            assert edge_s - 0.5 >= OVERDUE_S
            return
    pytest.fail("the word was never settled")


def test_rule_that_never_settles_shows_all_the_same() -> None:
    played = Played(NEVER)
    for index in range(20):
        assert played.hear("good morning", 3.0 + index) == ("", "good morning")


@pytest.mark.parametrize(("faster", "slower"), [("fast", "balanced"), ("balanced", "accurate")])
def test_each_commit_delay_waits_longer_than_the_one_before(faster: str, slower: str) -> None:
    one, other = RULES[CommitDelay(faster)], RULES[CommitDelay(slower)]
    assert one.lag_s < other.lag_s
    assert one.unsure_lag_s < other.unsure_lag_s
    assert one.agreement_s < other.agreement_s


def test_mark_after_the_last_settled_word_stays_open() -> None:
    played = Played()
    played.hear("He left. They", 1.9)
    assert played.hear("He left. They", 2.1) == ("He left", "He left. They")
    assert played.transcript.forced_tokens == tokens(" He left")
    assert played.hear("they", 2.5, lead=",", start_s=1.0) == ("He left, they", "He left, they")


def test_draft_follows_the_forced_words() -> None:
    played = Played()
    assert played.transcript.draft_tokens == ()
    played.hear("He left. They", 1.9)
    assert played.transcript.draft_tokens == tokens(" He left. They")
    played.hear("He left. They", 2.1)
    assert played.transcript.forced_tokens == tokens(" He left")
    assert played.transcript.draft_tokens == tokens(". They")
    played.transcript.close((), "", ())
    assert played.transcript.draft_tokens == ()


def test_empty_answer_leaves_the_mark_as_it_is() -> None:
    played = Played()
    played.hear("He left. They", 1.9)
    played.hear("He left. They", 2.1)
    played.hear("", 2.3)
    assert joined(played.transcript.settled) == "He left."


def test_marks_of_the_context_are_forced_once_their_segment_has_ended() -> None:
    played = Played()
    played.transcript.close(words("He left."), "", ())
    assert played.transcript.forced_tokens == tokens(" He left.")
    assert played.transcript.settled_text == ""


def test_word_said_many_times_in_a_row_waits_for_the_end_of_its_segment() -> None:
    played = Played()
    played.hear("well no no no", 3.0)
    assert played.hear("well no no no", 3.4) == ("well", "well no no no")
    assert played.hear("no no no", 4.4, start_s=0.5) == ("well", "well no no no")
    assert joined(played.transcript.close(words("no no no no", 0.5), "", ())) == "well no no no no"


def test_close_takes_all_words_and_begins_the_next_segment() -> None:
    played = Played()
    for edge_s in (2.0, 2.4):
        played.hear("the old house stands", edge_s)
    final = played.transcript.close(words("house stood there.", 1.0), "", ())
    assert joined(final) == "the old house stood there."
    assert (played.transcript.settled_text, played.transcript.shown_text) == ("", "")
    assert [one.text for one in played.transcript.context] == [one.text for one in final]
    assert played.hear("next", 3.5, start_s=2.5) == ("", "next")


def test_close_without_words_ends_with_the_settled_ones() -> None:
    played = Played()
    for edge_s in (2.0, 2.4):
        played.hear("the old house", edge_s)
    assert joined(played.transcript.close((), "!", tokens("!"))) == "the old!"


def test_cut_ends_a_segment_after_settled_words() -> None:
    played = Played()
    for edge_s in (2.9, 3.2):
        played.hear("He left. They stayed there.", edge_s)
    context = list(played.transcript.context)
    assert joined(played.transcript.cut(2)) == "He left."
    assert played.transcript.settled_text == "They stayed"
    assert played.transcript.context == context
    assert played.hear("there.", 3.3, start_s=2.0)[1] == "They stayed there."


@pytest.mark.parametrize(("probability", "hold_s"), [(1.0, 0.1), (0.75, 0.2), (0.0, 0.5)])
def test_words_near_the_edge_are_not_shown_and_sure_ones_sooner(probability: float, hold_s: float) -> None:
    assert Played().hear("one two", 1.0 + hold_s, probability=probability)[1] == "one two"
    assert Played().hear("one two", 1.0 + hold_s - 0.01, probability=probability)[1] == "one"


def test_words_near_the_edge_are_held_back_after_settled_ones_that_were_not_shown() -> None:
    played = Played()
    assert played.hear("cold house", 0.7) == ("", "cold")
    assert played.hear("old house stands", 1.6, probability=0.8) == ("", "cold")
    assert played.hear("old house stands", 1.6, probability=0.8) == ("old", "old house")


def test_all_is_shown_when_the_speaker_may_have_ended() -> None:
    played = Played()
    played.hear("ice cream", 1.1)
    assert played.transcript.shown_text == "ice"
    played.transcript.hear(words("ice cream."), "", (), SAMPLE_RATE_HZ, RULE, may_end=True)
    assert played.transcript.shown_text == "ice cream."


vocabulary = st.sampled_from(["a", "b.", "A", "c,", "b", '"d', "'s"])
hypotheses = st.lists(
    st.tuples(
        st.lists(st.tuples(vocabulary, st.floats(0.0, 1.0), st.integers(0, 12_000)), max_size=6),
        st.sampled_from(["", ",", "."]),
        st.integers(0, 20_000),
        st.sampled_from(["hear", "hear", "hear", "may_end", "close", "cut"]),
    ),
    max_size=30,
)


@given(hypotheses, st.sampled_from([*RULES.values(), RULE, NEVER, replace(RULE, agreement_s=0.0, lag_s=0.0)]))
def test_settled_text_only_grows_and_begins_all_that_is_shown(
    heard: list[tuple[list[tuple[str, float, int]], str, int, str]], rule: Rule
) -> None:
    transcript = Transcript()
    edge, published = 0, ""
    for spoken, lead, new_samples, kind in heard:
        edge += new_samples
        start = transcript.context[-1].end_samples if transcript.context else 0
        found: list[HeardWord] = []
        for text, probability, length in spoken:
            one = word(f" {text}", 0, 0, probability)
            found.append(replace(one, start_samples=start, end_samples=min(start + length, edge)))
            start = found[-1].end_samples
        if kind == "hear":
            transcript.hear(found, lead, tokens(lead), edge, rule)
        elif kind == "may_end":
            transcript.hear(found, lead, tokens(lead), edge, rule, may_end=True)
        elif kind == "cut":
            if len(transcript.settled) > 1:
                closed = transcript.cut(len(transcript.settled) - 1)
                assert published.startswith(joined([*closed[:-1], replace(closed[-1], mark="")]))
                published = ""
        else:
            assert joined(transcript.close(found, lead, tokens(lead))).startswith(published)
            published = ""
        settled = transcript.settled_text
        assert settled.startswith(published)
        assert transcript.shown_text.startswith(settled)
        assert joined(transcript.settled_words) == settled
        published = settled


def test_repetitions_of_the_context_wait_for_the_end_of_their_segment() -> None:
    played = Played()
    played.transcript.recall_context(words("test"))
    for edge_s in (2.0, 2.4, 2.8, 3.2):
        assert played.hear("test test", edge_s)[0] == ""
    assert played.hear("test one", 3.6)[0] == "test"
