"""A canary names the library, what it no longer has, and the module that relies on it."""

import json
import re

import pytest

from tests.internals import Canary

canary = Canary("redis", "shared/bus/redis_internals.py")


@pytest.mark.parametrize(
    ("check", "what"),
    [
        (lambda: canary.has(json, "loads", "no_such_name"), "json has no no_such_name"),
        (lambda: canary.takes(json.loads, "text"), r"loads takes \('s', .*\) instead of \('text',\)"),
        (lambda: canary.calls(json.loads, "no_such_name"), "loads no longer uses no_such_name"),
        (lambda: canary.holds(False, "it is slow"), "it is slow"),
    ],
)
def test_canary_says_what_has_changed(check: object, what: str) -> None:
    with pytest.raises(AssertionError) as raised:
        check()
    sentence = rf"redis [\d.]+: {what}\. Adapt shared/bus/redis_internals\.py, which relies on it, before .* updated\."
    assert re.search(sentence, str(raised.value))
