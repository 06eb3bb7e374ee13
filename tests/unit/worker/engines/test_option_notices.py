"""What models say of options that they have no use for."""

import pytest

from shared.session_options import CommitDelay, Mode, SessionOptions
from worker.engines.base import Notice
from worker.engines.option_notices import (
    COMMIT_DELAY,
    DELAY,
    LANGUAGE,
    LANGUAGES,
    PROMPT,
    SAMPLING,
    spoken_language,
    without_effect,
)
from worker.engines.voxtral.option_notices import usable


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
    assert notices[1].message == "prompt has no effect: this model uses no prompt in mode general."


def test_language_may_be_without_effect() -> None:
    [notice] = without_effect(SessionOptions(language="de"), LANGUAGE)
    assert notice == Notice("language_ignored", "language has no effect: this model has a fixed language.")
    assert without_effect(SessionOptions(), LANGUAGE) == []


def test_options_that_have_an_effect_cause_no_notice() -> None:
    assert without_effect(SessionOptions(language="en", prompt="Ada", model="whisper-base"), DELAY, SAMPLING) == []


def test_choices_that_only_some_models_have_are_said_to_have_no_effect() -> None:
    options = SessionOptions(commit_delay=CommitDelay.FAST, languages=("en", "de"))
    notices = without_effect(options, COMMIT_DELAY, LANGUAGES)
    assert [(notice.code, notice.message.partition(":")[0]) for notice in notices] == [
        ("commit_delay_ignored", "commit_delay has no effect"),
        ("languages_ignored", "languages has no effect"),
    ]


@pytest.mark.parametrize("mode", Mode)
def test_voxtral_takes_one_of_languages_and_says_that_it_takes_no_more(mode: Mode) -> None:
    taken, notices = usable(SessionOptions(mode=mode, languages=("sv", "en"), commit_delay=CommitDelay.FAST))
    assert (taken.language, [notice.code for notice in notices]) == ("en", ["commit_delay_ignored", "language_ignored"])
    taken, notices = usable(SessionOptions(mode=mode, languages=("de", "en")))
    assert (taken.language, [notice.code for notice in notices]) == (None, ["languages_ignored"])
    assert usable(SessionOptions(mode=mode, languages=("de", "en"), language="de"))[1] == []


def test_languages_that_are_not_the_models_are_dropped() -> None:
    allowed = ["en", "de"]
    told, notices = spoken_language(SessionOptions(languages=("sv", "en", "xx", "de")), allowed)
    assert (told.language, told.languages) == (None, ("en", "de"))
    assert [notice.message for notice in notices] == [
        "The model does not support these languages, which are ignored: 'sv', 'xx'."
    ]
    assert spoken_language(SessionOptions(languages=("sv",)), allowed)[0] == SessionOptions()
    same = SessionOptions(languages=("de", "en"), language="de")
    assert spoken_language(same, allowed) == (same, [])


def test_one_language_to_choose_from_is_the_language() -> None:
    told, notices = spoken_language(SessionOptions(languages=("de",)), ["en", "de"])
    assert (told.language, notices) == ("de", [])


def test_language_that_is_not_the_models_is_dropped() -> None:
    assert spoken_language(SessionOptions(language="en"), ["en"]) == (SessionOptions(language="en"), [])
    for languages, instead in (
        (["en", "de"], "the language is detected"),
        (["en"], "all speech is assumed to be 'en'"),
    ):
        assert spoken_language(SessionOptions(language="sv"), languages) == (
            SessionOptions(),
            [Notice("language_ignored", f"The model does not support the language 'sv'; {instead}.")],
        )
