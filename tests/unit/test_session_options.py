"""What is stored of a session's options, and read again by whoever serves it next."""

import orjson
import pytest

from shared.events import Mode, SessionOptions


@pytest.mark.parametrize("mode", Mode)
def test_options_come_back_from_the_wire_as_they_were(mode: Mode) -> None:
    options = SessionOptions(mode=mode, language="en", delay_ms=480, turns=True, model="echo", top_p=0.5)
    read = SessionOptions.from_wire(orjson.loads(orjson.dumps(options.to_wire())))
    assert read == options
    assert isinstance(read.mode, Mode)
