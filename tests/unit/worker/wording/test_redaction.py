"""What is redacted is replaced by its kind, in digits or spoken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.session_options import Redaction
from worker.wording import redaction
from worker.wording.edits import applied

EVERYTHING = tuple(Redaction)


def redacted(text: str, *kinds: str, language: str | None = "en", terms: tuple[str, ...] = ()) -> str:
    return applied(text, (), redaction.edits(text, language, kinds, terms))[0]


@pytest.mark.parametrize(
    ("kind", "said", "written"),
    [
        ("phones", "Call +49 171 234 5678 or 0171/2345678, please.", "Call [PHONE] or [PHONE], please."),
        ("phones", "It is oh one seven one, two three four five six.", "It is [PHONE]."),
        ("phones", "It is 07700 double nine 1234.", "It is [PHONE]."),
        ("phones", "It is oh seven triple nine one two three.", "It is [PHONE]."),
        ("phones", "Triple five one two three four.", "[PHONE]."),
        ("phones", "Double oh seven, one two three four.", "[PHONE]."),
        ("phones", "It is oh seven seven, double two, double one, double three.", "It is [PHONE]."),
        ("phones", "In room triple five, one of them.", "In room triple five, one of them."),
        ("phones", "It is 555, um, 123 uh 4567.", "It is [PHONE]."),
        ("phones", "It is 555‑123‑4567 or 555 — 123 — 4567.", "It is [PHONE] or [PHONE]."),
        ("phones", "It is five five five, dash, one two three four.", "It is [PHONE]."),
        ("phones", "In 2019, 2020: 1,000,000 or 1.234.567.", "In 2019, 2020: 1,000,000 or 1.234.567."),
        ("phones", "Call 112 in room 42.", "Call 112 in room 42."),
        ("cards", "Card 4111 1111 1111 1111 until 2030.", "Card [CARD] until 2030."),
        ("cards", "It is " + "four one one one " * 4 + "I think", "It is [CARD] I think"),
        ("cards", "Card four triple one 1111 1111 1111.", "Card [CARD]."),
        ("cards", "Call +49 171 234 5678 901.", "Call +49 171 234 5678 901."),
        ("ibans", "To DE89 3704 0044 0532 0130 00.", "To [IBAN]."),
        ("ibans", "To DE 89, 3704, 0044, 0532, 0130, 00 now", "To [IBAN] now"),
        ("ibans", "To D E eight nine " + "three seven zero " * 6 + "now", "To [IBAN] now"),
        ("emails", "Write to john.smith@mail.example.com.", "Write to [EMAIL]."),
        ("emails", "It is jane dot doe at example dot com. I am at home.", "It is [EMAIL]. I am at home."),
        ("emails", "It is jane underscore doe at gmail dot com.", "It is [EMAIL]."),
        ("emails", "It is jane dash o'neil at my dash shop dot co dot uk.", "It is [EMAIL]."),
        ("emails", "It's jane@example.com, a b-c jane@example.com.", "It's [EMAIL], a b-c [EMAIL]."),
        ("emails", "dash @ example.com", "[EMAIL]"),
        ("emails", "It is J A N E at gmail dot com.", "It is [EMAIL]."),
        ("emails", "It is j t smith nineteen at gmail dot com.", "It is [EMAIL]."),
        ("emails", "Write to o'brien@example.com or O’Brien @ example.com.", "Write to [EMAIL] or [EMAIL]."),
        ("emails", "jane\u00a0at example, dot com", "[EMAIL]"),
        ("emails", "I am at home. It is a dash of salt.", "I am at home. It is a dash of salt."),
        ("emails", "He is at the point. Stop", "He is at the point. Stop"),
        ("numbers", "I have twenty-five dogs, 3.5 cats, one A4.", "I have [NUMBER] dogs, [NUMBER] cats, one A4."),
    ],
)  # fmt: skip
def test_each_kind_is_found(kind: str, said: str, written: str) -> None:
    assert redacted(said, kind) == written


@pytest.mark.parametrize(
    "printed",
    [
        *("NL91 ABNA 0417 1643 00", "GB29 NWBK 6016 1331 9268 19", "IE29 AIBK 9311 5212 3456 78"),
        *("MT84 MALT 0110 0001 2345 MTLC AST0 01S", "RO49 AAAA 1B31 0075 9384 0000", "LV80 BANK 0000 4351 9500 1"),
        *("BG80 BNBG 9661 1020 3456 78", "FR14 2004 1010 0505 0001 3M02 606", "IT60 X054 2811 1010 0000 0123 456"),
        *("DE89 3704 0044 0532 0130 00", "NO93 8601 1117 947", "CH93 0076 2011 6238 5295 7"),
    ],
)
def test_ibans_of_all_countries_are_found_however_they_are_written(printed: str) -> None:
    joined = printed.replace(" ", "")
    for said in (printed, joined, printed.lower(), joined.lower(), " ".join(joined), printed.replace(" ", "-")):
        assert redacted(f"To {said}, thanks for it", "ibans") == "To [IBAN], thanks for it"
    assert redacted(f"{printed} {printed}", "ibans") == "[IBAN] [IBAN]"


@pytest.mark.parametrize(
    "misheard", ["GB29 NWBK 6016 1331 9268 1", "DE89 3704 0044 0532 0130", "FR1420041010050500013M026"]
)
def test_ibans_with_characters_missing_are_found(misheard: str) -> None:
    assert redacted(f"To {misheard}, thanks", "ibans") == "To [IBAN], thanks"


@pytest.mark.parametrize("said", ["It is 20 minutes from here to the station.", "At 10 or 11 I go. No 12 is it."])
def test_sentences_are_no_ibans(said: str) -> None:
    assert redacted(said, "ibans") == said


def test_numbers_joined_by_hyphens_are_found() -> None:
    assert redacted("It is five-five-five-one-two-three-four.", "phones") == "It is [PHONE]."
    assert redacted("a twenty-five-year-old in room four-twelve", "numbers") == "a [NUMBER]-year-old in room [NUMBER]"


def test_words_that_numerals_leave_are_numbers_among_others() -> None:
    assert redacted("tre sei due sei sei uno quattro", "phones", language="it") == "[PHONE]"
    assert redacted("nove meia dois três quatro cinco meia", "phones", language="pt") == "[PHONE]"
    assert redacted("I earn a million", "numbers") == "I earn a [NUMBER]"


def test_spoken_addresses_are_found_in_other_languages() -> None:
    assert redacted("Es ist max ät example punkt de.", "emails", language="de") == "Es ist [EMAIL]."
    said = "max unterstrich müller bindestrich sieben ät mein bindestrich laden punkt de"
    assert redacted(said, "emails", language="de") == "[EMAIL]"
    assert redacted("es ana guion bajo ruiz arroba ejemplo punto es", "emails", language="es") == "es [EMAIL]"
    assert redacted("marie tiret du bas curie arobase exemple point fr", "emails", language="fr") == "[EMAIL]"
    assert redacted("Meine Nummer: null eins sieben eins zwei drei vier.", "phones", language="de") == (
        "Meine Nummer: [PHONE]."
    )


def test_the_first_kind_that_fits_names_it() -> None:
    said = "DE89 3704 0044 0532 0130 00, 4111 1111 1111 1111, 555 123 4567 and 12"
    assert redacted(said, *EVERYTHING) == "[IBAN], [CARD], [PHONE] and [NUMBER]"


def test_a_longer_run_of_digits_is_redacted_since_it_may_hold_a_number() -> None:
    assert redacted("It is 4111 1111 1111 1111 555 123 4567.", "cards", "phones") == "It is [CARD]."
    assert redacted("It is 4111, 1111, 1111, 1111, 555, 123, 4567.", "cards") == "It is [CARD]."


def test_terms_are_whole_words_in_any_case() -> None:
    terms = ("Maria Lopez", "Smith")
    assert redacted("maria  LOPEZ, Smith's, Smithson", terms=terms) == "[REDACTED], [REDACTED]'s, Smithson"
    assert redacted("電話は山田さん", language="ja", terms=("山田",)) == "電話は[REDACTED]さん"
    assert redacted("我用VPN上网", language="zh", terms=("VPN",)) == "我用[REDACTED]上网"
    assert redacted("राम और रामा, सीता", language="hi", terms=("राम", "सीता")) == "[REDACTED] और रामा, [REDACTED]"
    assert redacted("सीताराम", language="hi", terms=("सीता",)) == "सीताराम"
    assert redacted("José, Jose\u0301", terms=("José",)) == "[REDACTED], [REDACTED]"
    assert redacted("José, Jose\u0301", terms=("Jose\u0301",)) == "[REDACTED], [REDACTED]"
    assert redacted("O’Brien and O'Brien", terms=("O'Brien",)) == "[REDACTED] and [REDACTED]"
    assert redacted("see c++ (x)", terms=("c++", "(x)")) == "see [REDACTED] [REDACTED]"


def test_what_is_left_between_redacted_parts_has_no_label_of_its_own() -> None:
    assert redacted("john.smith@acme.com", "emails", terms=("smith", "acme")) == "[EMAIL].[REDACTED]@[REDACTED].[EMAIL]"
    assert redacted("smith 12 jones 5", "numbers", terms=("smith", "12 jones")) == "[REDACTED] [REDACTED] [NUMBER]"


def test_digits_are_found_in_every_language() -> None:
    assert redacted("電話は0312345678です", "phones", language="ja") == "電話は[PHONE]です"
    assert redacted("call five five five 1234567", "phones", language=None) == "call five five five [PHONE]"
    assert redacted("我有5只狗，号码是13812345678", "numbers", language="zh") == "我有[NUMBER]只狗，号码是[NUMBER]"
    assert redacted("私は25歳、3月", "numbers", language="ja") == "私は[NUMBER]歳、[NUMBER]月"
    assert redacted("방번호는301호", "numbers", language="ko") == "방번호는[NUMBER]호"


@given(st.text("0123456789 +-.,()AZaz@", max_size=60), st.sampled_from([(), ("a",), ("0", "Z a")]))
def test_edits_are_in_order_and_do_not_overlap(text: str, terms: tuple[str, ...]) -> None:
    ends = [0]
    for edit in redaction.edits(text, "en", EVERYTHING, terms):
        assert ends[-1] <= edit.start < edit.end <= len(text)
        ends.append(edit.end)


@given(st.integers(0, 999_999_999), st.sampled_from(["It is {}, or {:,}.", "我有{}只", "번호는{}호", "в{}г", "อายุ{}ปี"]))
def test_no_digit_of_a_number_is_left(number: int, said: str) -> None:
    written = redacted(said.format(number, number), "numbers")
    assert not any(character.isdigit() for character in written)


@given(st.integers(10, 999_999_999))
def test_no_digit_after_a_letter_is_left_but_a_single_one(number: int) -> None:
    assert redacted(f"covid{number}, BA{number}X, A4, H2O", "numbers") == "covid[NUMBER], BA[NUMBER]X, A4, H2O"


@given(st.text("ab '-.,5", max_size=30), st.text("ab'-", min_size=1, max_size=9), st.sampled_from([" ", "", " dot "]))
def test_every_written_address_is_found(before: str, name: str, apart: str) -> None:
    assert "@" not in redacted(f"{before}{apart}{name}@example.com", "emails")
