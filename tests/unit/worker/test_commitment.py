"""What was committed of a segment stays, whatever its new owner says."""

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from shared.events import Scores, Word
from worker.commitment import Commitment, unfinished, with_final, with_partial
from worker.engines.base import Final, Partial

ANY_TEXT = st.text("ab .,", max_size=12)


def words(*texts: str) -> tuple[Word, ...]:
    return tuple(Word(text, 1000 * index, 1000 * index + 900) for index, text in enumerate(texts))


def partial(text: str, committed: str = "", *, start: int = 0) -> Partial:
    return Partial(2, text, start, start + 16_000, 1.0, committed, words(*committed.split()))


def final(text: str, *, start: int = 0) -> Final:
    return Final(2, text, start, start + 8000, start + 8000, start + 8000, words(*text.split()), "en", 1.0)


KEPT = Commitment(2, "the quick brown", words("the", "quick", "brown"), 0, 16_000)


def test_what_the_engine_commits_is_kept_as_it_grows() -> None:
    first = partial("the quick brow", "the quick")
    shown, kept = with_partial(Commitment(2), first)
    assert shown == first
    assert kept == Commitment(2, "the quick", words("the", "quick"), 0, 16_000)
    same = partial("the quick brown", "the quick")
    assert with_partial(kept, same) == (same, kept)
    assert with_partial(kept, same)[1] is kept
    assert with_final(kept, final("the quick fox")) == final("the quick fox")


def test_new_owner_says_what_was_committed_before_it_has_heard_it_again() -> None:
    for text in ["the", "the quick", "The quick", "the quick brown"]:
        shown, kept = with_partial(KEPT, partial(text, text))
        assert (shown.text, shown.committed_text, shown.committed_words) == (KEPT.text, KEPT.text, KEPT.words)
        assert kept is KEPT


def test_new_owner_that_hears_otherwise_is_fitted() -> None:
    shown, kept = with_partial(KEPT, partial("The quick crown fox jumps", "The quick crown fox"))
    assert (shown.text, shown.committed_text) == ("the quick brown fox jumps", "the quick brown fox")
    assert kept.words == (*KEPT.words, Word("fox", 3000, 3900))
    told = with_final(kept, final("The quick crown fox jumps."))
    assert told.text == "the quick brown fox jumps."
    assert told.words == (*kept.words, Word("jumps.", 4000, 4900))


def test_word_that_was_committed_in_part_is_completed() -> None:
    """Its time is not known while it grows."""
    kept = Commitment(2, "the quick bro", words("the", "quick"), 0, 16_000)
    told = with_final(kept, final("A quick brown fox"))
    assert told.text == "the quick brown fox"
    assert [word.text for word in told.words] == ["the", "quick", "brown", "fox"]
    told = with_final(KEPT, final("A quick brown."))
    assert (told.text, told.words) == ("the quick brown.", (*KEPT.words[:2], replace(KEPT.words[2], text="brown.")))


def test_changed_final_has_no_scores_of_its_former_words() -> None:
    scored = replace(final("A quick brown fox"), scores=Scores(0.9, word_confidences=(0.9, 0.9, 0.9, 0.9)))
    assert with_final(KEPT, scored).scores == Scores(0.9)
    assert with_final(Commitment(2), scored).scores == scored.scores


def test_other_speech_behind_what_was_committed_is_not_swallowed() -> None:
    shown, kept = with_partial(KEPT, partial("see you", "see", start=20_000))
    assert (shown.text, shown.committed_text) == ("the quick brown see you", "the quick brown see")
    assert (kept.start_samples, kept.end_samples) == (0, 36_000)
    told = with_final(KEPT, final("goodbye", start=20_000))
    assert (told.text, told.start_samples, told.end_samples) == ("the quick brown goodbye", 0, 28_000)


def test_final_without_text_keeps_what_was_committed() -> None:
    assert (with_final(KEPT, final("")).text, with_final(KEPT, final("")).words) == (KEPT.text, KEPT.words)
    assert with_final(Commitment(2), final("")) == final("")


def test_final_of_a_segment_that_was_not_heard_again_is_what_was_committed() -> None:
    told = unfinished(KEPT)
    assert (told.segment, told.text, told.words, told.end_samples) == (2, KEPT.text, KEPT.words, 16_000)


def test_commitment_comes_back_from_redis_for_its_own_segment() -> None:
    assert Commitment.decoded(KEPT.encoded(), 2) == KEPT
    assert Commitment.decoded(KEPT.encoded(), 3) == Commitment(3)
    assert Commitment(2).encoded() == b""
    assert Commitment.decoded(None, 2) == Commitment(2)


@given(st.lists(st.tuples(ANY_TEXT, st.integers(0, 12), st.sampled_from([0, 16_000])), max_size=6), ANY_TEXT)
def test_whatever_engines_say_nothing_is_taken_back(said: list[tuple[str, int, int]], text: str) -> None:
    kept, committed = Commitment(2), [""]
    for one, cut, start in said:
        shown, kept = with_partial(kept, partial(one, one[:cut], start=start))
        assert shown.text.startswith(shown.committed_text)
        assert shown.committed_text == kept.text
        committed.append(kept.text)
    committed.append(with_final(kept, final(text)).text)
    assert all(later.startswith(earlier) for earlier, later in pairwise(committed))


def test_words_that_were_committed_keep_their_times_and_their_segment_its_start() -> None:
    moved = tuple(
        Word(text, 1000 * index + 400, 1000 * index + 1350, 1.0) for index, text in enumerate(("the", "quick"))
    )
    kept = Commitment(2, "the quick", (Word("the", 0, 900, 0.9), Word("quick", 1000, 1900, 0.8)), 0, 16_000)
    later = (*moved, Word("fox", 1350, 1500, 0.7))
    shown, _ = with_partial(kept, replace(partial("the quick fox", start=300), committed_text="", committed_words=()))
    assert (shown.start_samples, shown.committed_words) == (0, kept.words)
    shown, kept_now = with_partial(kept, Partial(2, "the quick fox", 300, 20_000, 1.0, "the quick fox", later))
    assert shown.committed_words == kept_now.words == (*kept.words, Word("fox", 1900, 1900, 0.7))
    told = with_final(
        kept_now, replace(final("the quick fox.", start=300), words=(*moved, Word("fox.", 2000, 2900, 0.6)))
    )
    assert (told.start_samples, told.words) == (0, (*kept.words, Word("fox.", 1900, 1900, 0.7)))


def test_labels_of_words_stay() -> None:
    labelled = replace(
        final("the quick fox"), words=tuple(replace(word, speaker="A") for word in words("the", "quick", "fox"))
    )
    kept = Commitment(2, "the quick", words("the", "quick"), 0, 16_000)
    assert [word.speaker for word in with_final(kept, labelled).words] == ["A", "A", "A"]


def test_confidence_survives_a_takeover() -> None:
    kept = Commitment(2, "the quick", (Word("the", 0, 900, 0.9), Word("quick", 1000, 1900)), 0, 16_000)
    assert Commitment.decoded(kept.encoded(), 2) == kept


def test_words_of_another_owner_begin_when_those_before_them_have_ended() -> None:
    kept = replace(KEPT, words=(*KEPT.words[:2], Word("brown", 2000, 4500)))
    for other in (final("The quick crown fox jumps"), final("see you", start=16_000)):
        times = [(word.start_samples, word.end_samples) for word in with_final(kept, other).words]
        assert all(start >= before for (_, before), (start, _) in pairwise(times))


def test_word_that_was_committed_in_part_is_as_in_the_text() -> None:
    kept = Commitment(2, "cat 5", words("cat"), 0, 16_000)
    told = with_final(kept, replace(final("um 東京 -"), words=words("um", "東京", "-")))
    assert told.text == "cat 5京 -"
    assert [word.text for word in told.words] == ["cat", "5京", "-"]
    told = with_final(Commitment(2, "the Quick Bro", words("the", "Quick"), 0, 16_000), final("A quick brown fox"))
    assert (told.text, told.words[2].text) == ("the Quick Brown fox", "Brown")


def test_last_committed_word_gets_what_another_owner_adds_to_it() -> None:
    kept = Commitment(2, "it is one", words("it", "is", "one"), 0, 16_000)
    for other in (final("It is One, two."), final("It is one, two.")):
        told = with_final(kept, other)
        assert (told.text, [word.text for word in told.words]) == ("it is one, two.", ["it", "is", "one,", "two."])
