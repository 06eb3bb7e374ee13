"""What the embedded model makes of options that it has no use for."""

import pytest

from shared.events import SessionOptions
from worker.engines.whisper.choices import usable


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (SessionOptions(temperature=0.0), "temperature has no effect: "),
        (SessionOptions(max_new_tokens=5, top_p=0.5), "max_new_tokens, top_p have no effect: "),
        (
            SessionOptions(max_new_tokens=5, temperature=1, top_p=1),
            "max_new_tokens, temperature, top_p have no effect: ",
        ),
    ],
)
def test_sampling_is_said_once_to_have_no_effect(options: SessionOptions, said: str) -> None:
    taken, (notice,) = usable(options, ["en"])
    assert (taken, notice.code) == (options, "sampling_ignored")
    assert notice.message.startswith(said)


def test_options_that_it_can_use_are_passed_over_in_silence() -> None:
    assert usable(SessionOptions(language="en", prompt="Ada", model="whisper-base"), ["en"])[1] == []
