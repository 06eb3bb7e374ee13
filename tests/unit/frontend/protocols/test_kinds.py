"""Kinds of values: what they take from JSON and from forms, and what their errors say."""

from typing import Any

import pytest

from frontend.protocols.kinds import (
    Choice,
    Choices,
    Flag,
    Integer,
    Kind,
    Languages,
    Number,
    Steps,
    Terms,
    Text,
    WrongTypeError,
    WrongValueError,
)
from shared.session_options import Mode, Redaction

SHORT = Text(5, min_chars=1)
STEPS = Steps((80, 160), "80 or 160")


@pytest.mark.parametrize(
    ("kind", "value", "parsed"),
    [
        (SHORT, "abc", "abc"),
        (Text(5), "", None),
        (Integer(1, 9), 9.0, 9),
        (STEPS, 160.0, 160),
        (Number(0, 2), 2, 2),
        (Choice(Mode), "general", Mode.GENERAL),
        (Flag(), False, False),
        (Languages(), ["en", "English"], ("en",)),
        (Choices(Redaction), ["cards", "emails", "cards"], (Redaction.CARDS, Redaction.EMAILS)),
        (Choices(Redaction), [], None),
        (
            Terms(2, 9),
            [
                " Ann Lee",
                "Bob",
            ],
            ("Ann Lee", "Bob"),
        ),
        (Terms(2, 9), [], None),
    ],
)
def test_values_of_json_are_taken(kind: Kind, value: Any, parsed: Any) -> None:
    assert kind.parse(value) == parsed


@pytest.mark.parametrize(
    ("kind", "text", "parsed"),
    [
        (Integer(1, 9), "3", 3),
        (STEPS, "80", 80),
        (Number(0, 1), "0.5", 0.5),
        (Flag(), "1", True),
        (Flag(), "FALSE", False),
        (Languages(), "en, German", ("en", "de")),
        (Choices(Redaction), "cards, ibans", (Redaction.CARDS, Redaction.IBANS)),
        (Terms(2, 9), "Ann Lee,Bob", ("Ann Lee", "Bob")),
    ],
)
def test_texts_of_forms_are_taken(kind: Kind, text: str, parsed: Any) -> None:
    assert kind.from_text(text) == parsed


@pytest.mark.parametrize(
    ("kind", "value", "error", "allowed"),
    [
        (SHORT, 3, WrongTypeError, "a string"),
        (Choices(Redaction), "cards", WrongTypeError, Choices(Redaction).allowed),
        (Choices(Redaction), ["names"], WrongValueError, Choices(Redaction).allowed),
        (Choices(Redaction), [["cards"]], WrongValueError, Choices(Redaction).allowed),
        (Terms(2, 9), "Ann", WrongTypeError, Terms(2, 9).allowed),
        (Terms(2, 9), ["a", "b", "c"], WrongValueError, Terms(2, 9).allowed),
        (Terms(2, 9), [" "], WrongValueError, Terms(2, 9).allowed),
        (Terms(2, 9), ["Bartholomew"], WrongValueError, Terms(2, 9).allowed),
        (Terms(2, 9), [3], WrongValueError, Terms(2, 9).allowed),
        (SHORT, "", WrongValueError, "1 to 5 characters"),
        (SHORT, "x" * 6, WrongValueError, "1 to 5 characters"),
        (Integer(1, 9), True, WrongTypeError, "an integer"),
        (Integer(1, 9), 1.5, WrongTypeError, "an integer"),
        (Integer(1, 9), 10, WrongValueError, "1 to 9"),
        (STEPS, 100, WrongValueError, "80 or 160"),
        (Number(0, 1, excludes_low=True), 0, WrongValueError, "above 0, at most 1"),
        (Number(0, 1), float("nan"), WrongValueError, "0 to 1"),
        (Number(0, 1), True, WrongTypeError, "a number"),
        (Choice(Mode), ["general"], WrongValueError, "transcribe, understand, general, translate"),
        (Flag(), "true", WrongTypeError, "true or false"),
        (Languages(), "en", WrongTypeError, Languages.allowed),
        (Languages(), ["en"] * 21, WrongValueError, Languages.allowed),
    ],
)
def test_errors_say_what_is_allowed(kind: Kind, value: Any, error: type[WrongValueError], allowed: str) -> None:
    with pytest.raises(error) as raised:
        kind.parse(value)
    assert raised.value.allowed == allowed


def test_kinds_name_what_is_allowed() -> None:
    assert Choices(Redaction).allowed == "a list of any of numbers, emails, phones, cards, ibans"
    assert Terms(2, 9).allowed == "a list of at most 2 strings, each of 1 to 9 characters"


def test_errors_repeat_no_term() -> None:
    with pytest.raises(WrongValueError) as raised:
        Terms(2, 9).parse(["Ann", "Bartholomew"])
    assert raised.value.part == "…"


@pytest.mark.parametrize(("kind", "text"), [(Integer(1, 9), "x"), (STEPS, "x"), (Number(0, 1), "x"), (Flag(), "yes")])
def test_forms_are_told_of_texts_that_are_no_value(kind: Kind, text: str) -> None:
    with pytest.raises(WrongValueError):
        kind.from_text(text)
