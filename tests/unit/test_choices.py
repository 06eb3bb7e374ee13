"""What models say of options that they have no use for."""

import pytest

from shared.events import Mode, SessionOptions
from worker.engines.base import Notice
from worker.engines.choices import DELAY, PROMPT, SAMPLING, spoken_language, without_effect


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
def test_options_of_one_kind_are_said_once_to_have_no_effect(options: SessionOptions, said: str) -> None:
    [notice] = without_effect(options, DELAY, PROMPT, SAMPLING)
    assert notice.code == "sampling_ignored"
    assert notice.message.startswith(said)


def test_each_kind_is_said_for_itself_and_with_the_mode() -> None:
    options = SessionOptions(mode=Mode.GENERAL, delay_ms=480, prompt="Ada", temperature=1)
    notices = without_effect(options, DELAY, PROMPT)
    assert [notice.code for notice in notices] == ["delay_ignored", "prompt_ignored"]
    assert notices[1].message == "prompt has no effect: this model uses none in mode general."


def test_options_that_have_an_effect_are_passed_over_in_silence() -> None:
    assert without_effect(SessionOptions(language="en", prompt="Ada", model="whisper-base"), DELAY, SAMPLING) == []


def test_language_that_is_not_the_models_is_dropped() -> None:
    assert spoken_language(SessionOptions(language="en"), ["en"]) == (SessionOptions(language="en"), [])
    for languages, instead in ((["en", "de"], "it will be detected"), (["en"], "all speech is taken for 'en'")):
        assert spoken_language(SessionOptions(language="sv"), languages) == (
            SessionOptions(),
            [Notice("language_ignored", f"Language 'sv' is not one of the model's; {instead}.")],
        )
