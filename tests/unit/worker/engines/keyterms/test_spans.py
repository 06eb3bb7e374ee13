"""Which words of a decoded text may be key terms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.session_options import DEFAULT_BOOST, KeyTerm
from worker.engines.keyterms.likeness import bounds, letters, similarities, sound_key
from worker.engines.keyterms.spans import (
    MAX_GAINING_LETTERS,
    NATS_PER_LETTER,
    SpokenTerms,
    Written,
)


def words(text: str) -> list[Written]:
    return [Written(" " + one.rstrip(".,?"), one[len(one.rstrip(".,?")) :]) for one in text.split()]


def proposed(text: str, *terms: str, likeness: float = 0.5) -> list[tuple[str, str]]:
    written = words(text)
    found = SpokenTerms(tuple(map(KeyTerm, terms))).compared(written, likeness).proposals(likeness=likeness, most=9)
    return [("".join(one.text for one in written[p.start : p.stop]), p.text) for p in found]


@pytest.mark.parametrize(
    ("heard", "term"),
    [
        ("coval chick", "Kowalczyk"), ("see Oppen", "Siobhan"), ("Aglethort", "Oglethorpe"), ("zyrelto", "Xarelto"),
        ("celery", "Celery"), ("sir talin", "Zyrtalin"), ("Reyk Javik", "Reykjavik"),
    ],
)  # fmt: skip
def test_term_is_proposed_for_words_that_sound_like_it(heard: str, term: str) -> None:
    assert proposed(f"We met {heard} at noon.", term)[0] == (f" {heard}", f" {term}")


def test_nothing_is_proposed_for_words_that_sound_otherwise_or_are_the_term() -> None:
    assert proposed("The morning train leaves the station at seven.", "Kowalczyk", "Zyrtalin", likeness=0.6) == []
    assert proposed("We met Kowalczyk there.", "Kowalczyk") == []


@pytest.mark.parametrize(
    ("text", "heard", "term"),
    [
        ("我|在|背|景|大|学|出|版|社|工作", "背景大学出版社", "北京大学出版社"),
        ("昨|日|東|京|スカ|イ|ツ|リー|に|行|った", "東京スカイツリー", "東京スカイツリイ"),
        ("เรา|ไป|กรุง|เทพ|มหา|นะ|คร", "กรุงเทพมหานะคร", "กรุงเทพมหานคร"),
        ("我们|这个|K|ubernetis|集|群", "Kubernetis集群", "Kubernetes集群"),
    ],
)
def test_term_without_spaces_is_proposed_for_all_of_it(text: str, heard: str, term: str) -> None:
    pieces = [Written(piece) for piece in text.split("|")]
    first, *_ = SpokenTerms((KeyTerm(term),)).compared(pieces, 0.5).proposals(likeness=0.5, most=6)
    assert "".join(one.text for one in pieces[first.start : first.stop]) == heard
    assert first.text == term


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("我在|北|京|大|学|出|版|社|工作", "北京大学出版社"),
        ("在北|京大|学出|版社|工作", "北京大学出版社"),
        ("昨日|東京|スカイ|ツリー|に", "東京スカイツリー"),
        ("我们|这个|K|ubernetes|集群", "Kubernetes"),
        (" we| run| a| Kubernetes| cluster| here", "Kubernetes cluster"),
    ],
)
def test_nothing_is_proposed_for_a_term_in_any_script(text: str, term: str) -> None:
    pieces = [Written(piece) for piece in text.split("|")]
    assert SpokenTerms((KeyTerm(term),)).compared(pieces, 0.5).proposals(likeness=0.5, most=6) == []


def test_word_that_only_begins_with_a_term_is_none() -> None:
    assert proposed("They talk of Celerys.", "Celery")[0] == (" Celerys", " Celery")


def test_possessive_stays_and_sentences_are_not_joined() -> None:
    assert proposed("It is Covalchick's train.", "Kowalczyk")[0] == (" Covalchick's", " Kowalczyk's")
    assert (" coval. Chick", " Kowalczyk") not in proposed("He said coval. Chick went.", "Kowalczyk", likeness=0.3)


@given(st.text("abc ", max_size=20), st.floats(0.1, 4))
def test_bonus_is_bounded(text: str, boost: float) -> None:
    terms = SpokenTerms((KeyTerm("abcabcabcabcabc", boost), KeyTerm("ab", boost)))
    most = NATS_PER_LETTER * MAX_GAINING_LETTERS * boost / DEFAULT_BOOST
    assert all(
        0 < one.bonus <= most + 1e-9 for one in terms.compared(words(text), 0.1).proposals(likeness=0.1, most=99)
    )


def test_another_decode_proposes_only_words_with_terms() -> None:
    terms = SpokenTerms((KeyTerm("Kowalczyk"), KeyTerm("Zyrtalin")))
    first = words("Dr. Cowoxic prescribed Zia Delen for the whole family.")
    second = words("Doctor Kowalczyk prescribed Zyrtalin to a whole family.")
    found = [(one.start, one.stop, one.text) for one in terms.differences(first, second)]
    assert found == [(1, 2, " Kowalczyk"), (3, 5, " Zyrtalin")]
    assert terms.differences(first, first) == []


def test_another_decode_proposes_a_long_term_without_spaces() -> None:
    first, second = ([Written(piece) for piece in text] for text in ("在贝精打雪楚班舍里", "在北京大学出版社里"))
    [found] = SpokenTerms((KeyTerm("北京大学出版社"),)).differences(first, second)
    assert (found.start, found.stop, found.text) == (1, 8, "北京大学出版社")


@pytest.mark.parametrize("places", [1, 30])
def test_long_term_is_found_among_many_others(places: int) -> None:
    """More pairs than are compared are alike in their letters; the likest ones are found all the same."""
    wanted = "Bundesministerium für Wirtschaft und Klimaschutz"
    others = [
        f"{letter * 3} Wirtschaft Ministerium und Klima des Bundes {number}" for number in range(50) for letter in "abc"
    ]
    terms = SpokenTerms(tuple(KeyTerm(one) for one in (*others, wanted)))
    text = words(
        "das Bundesministerium für Wirtschaft und Klimaschuss sagt "
        + "und Klima des Bundes Ministerium Wirtschaft " * places
    )
    found = terms.compared(text, 0.6).proposals(likeness=0.6, most=5)
    assert found[0].text == f" {wanted}"
    assert terms.compared(text, 0.45).likely(likeness=0.45, most=3)[0] == wanted


def test_terms_of_boost_zero_are_never_proposed() -> None:
    assert SpokenTerms((KeyTerm("Celery", 0.0),)).compared(words("celery"), 0.1).proposals(likeness=0.1, most=9) == []


@given(st.lists(st.text("abcdefg", max_size=8), max_size=4), st.lists(st.text("abcdefg", max_size=8), max_size=4))
def test_similarities_are_one_less_the_share_of_edits(left: list[str], right: list[str]) -> None:
    from tests.bench.scoring import edits

    pairs = np.indices((len(left), len(right))).reshape(2, -1)
    found = similarities(left, right, pairs).reshape(len(left), len(right))
    for row, one in enumerate(left):
        for column, other in enumerate(right):
            wanted = 1 - edits(one, other) / max(len(one), len(other)) if one and other else 0.0
            assert found[row, column] == pytest.approx(wanted)
    assert (found <= bounds(left, right)).all()


def test_keys_join_letters_that_sound_alike() -> None:
    assert sound_key("Kowalczyk") == sound_key("coval chick")
    assert sound_key("Phoebe") == sound_key("feebie")
    assert sound_key("की") == sound_key("के")


def test_letters_are_those_without_accents_but_with_vowel_signs() -> None:
    assert letters("Éva-Łucja") == "evalucja"
    assert len({letters(word) for word in ("की", "के", "का", "क")}) == 4
    assert letters("バリ") != letters("パリ")
