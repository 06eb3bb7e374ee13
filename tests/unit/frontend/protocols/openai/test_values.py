"""The values of a client's JSON object: what is allowed, and what is said of the others, with their path."""

from collections.abc import Callable
from typing import Any

import pytest

from frontend.protocols.openai import values
from frontend.protocols.openai.errors import RefusedError


@pytest.mark.parametrize(
    ("take", "taken"),
    [
        (lambda: values.an_object({"a": 1}, "session", ["a", "b"]), {"a": 1}),
        (lambda: values.one_of("a", "kind", ["a", "b"]), "a"),
        (lambda: values.texts(["a", "b"], "hints"), ["a", "b"]),
        (lambda: values.an_integer(3, "count", 1, 3), 3),
        (lambda: values.a_number(0.5, "threshold", 0, 1), 0.5),
        (lambda: values.a_flag(True, "flag"), True),
    ],
)
def test_value_that_is_allowed_is_taken(take: Callable[[], Any], taken: object) -> None:
    assert take() == taken


@pytest.mark.parametrize(
    ("take", "path"),
    [
        (lambda: values.an_object([], "session", []), "session"),
        (lambda: values.an_object({"c": 1}, "session", ["a"]), "session.c"),
        (lambda: values.one_of(1, "kind", ["a"]), "kind"),
        (lambda: values.one_of("c", "kind", ["a"]), "kind"),
        (lambda: values.texts("a", "hints"), "hints"),
        (lambda: values.texts(["a"] * 1001, "hints"), "hints"),
        (lambda: values.texts(["a", 1], "hints"), "hints[1]"),
        (lambda: values.an_integer(4, "count", 1, 3), "count"),
        (lambda: values.a_number("x", "threshold", 0, 1), "threshold"),
        (lambda: values.a_flag("yes", "flag"), "flag"),
    ],
)
def test_value_that_is_not_allowed_is_named_by_its_path(take: Callable[[], Any], path: str) -> None:
    with pytest.raises(RefusedError) as refused:
        take()
    assert refused.value.field == path
