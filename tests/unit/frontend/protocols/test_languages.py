"""In which forms a client may name a language."""

import pytest
from starlette.datastructures import FormData

from frontend.api.upload_form import Form
from frontend.protocols.fields import Fields
from frontend.protocols.languages import NAMES, language_code
from frontend.protocols.mistral.session import MistralSession
from frontend.protocols.openai.rest import language_name
from frontend.protocols.openai.session import begun
from frontend.protocols.options import OPTIONS
from shared.errors import InvalidFieldError

SAME: dict[str, tuple[str, ...]] = {
    "en": ("en", "EN", "en-US", "en_GB", "en-us", "eng", "english", "English", "English (US)", "en_US.UTF-8", " en\n"),
    "zh": ("zh", "zh-CN", "zh-Hant-TW", "zh_Hans", "zho", "chi", "cmn", "zh-cmn", "cmn-Hans-CN", "Mandarin"),
    "yue": ("yue", "yue-HK", "zh-yue", "cantonese"),
    "de": ("de", "deu", "ger", "ger-AT", "German"),
    "no": ("no", "nb", "nb-NO", "nob", "norwegian", "Norwegian Bokmål", "norwegian_bokmal"),
    "nn": ("nn", "nno", "nynorsk", "Norwegian Nynorsk"),
    "jw": ("jw", "jv", "jav", "javanese"),
    "he": ("he", "iw", "heb"),
    "ht": ("ht", "hat", "haitian creole", "haitian"),
    "my": ("my", "mya", "bur", "burmese", "myanmar"),
    "tl": ("tl", "fil", "fil-PH", "tagalog"),
    "sr": ("sr-Latn", "srp"),
    "ga": ("ga", "ga-IE"),
}


@pytest.mark.parametrize(("code", "given"), [(code, one) for code, given in SAME.items() for one in given])
def test_every_usual_form_means_the_language(code: str, given: str) -> None:
    assert OPTIONS["language"].parse(given) == code


def test_what_the_service_answers_can_be_sent_back() -> None:
    assert len(NAMES) == 100
    for code in NAMES:
        assert language_code(code) == language_code(language_name(code)) == code
    assert OPTIONS["language"].parse(language_name(None)) is None


@pytest.mark.parametrize("given", ["auto", "AUTO", "detect", "und", None])
def test_language_may_be_left_to_the_model(given: str | None) -> None:
    assert OPTIONS["language"].parse(given) is None


def test_lists_hold_each_language_once() -> None:
    assert OPTIONS["languages"].parse(["en", "English", "de-AT", "ger"]) == ("en", "de")
    assert OPTIONS["languages"].parse(["auto"]) is None


@pytest.mark.parametrize("given", ["klingon", "", "e", "en us", "e" * 101, "en-", "12"])
def test_what_means_no_language_is_told_what_is_allowed(given: str) -> None:
    with pytest.raises(InvalidFieldError, match=r"'en', 'eng' or 'en-US', an English name .* or 'auto'"):
        OPTIONS["language"].parse(given)


def test_every_protocol_takes_the_same_forms() -> None:
    fields = Fields({"language": "en-US", "languages": ["english", "ger"]})
    form = Form(FormData([("language", "en-US"), ("languages", "english"), ("languages", "ger")]), "")
    transcription = {"language": "en-US", "languages": ["english", "ger"]}
    openai = begun({"type": "transcription", "audio": {"input": {"transcription": transcription}}}).options(None)
    assert (fields.option("language"), fields.option("languages")) == ("en", ("en", "de"))
    assert (form.option("language"), form.languages()) == ("en", ("en", "de"))
    assert (openai.language, openai.languages) == ("en", ("en", "de"))
    assert MistralSession("r", "m").updated({"language": "en-US"}).options.language == "en"
    detected = begun({"audio": {"input": {"transcription": {"language": "auto", "languages": ["auto"]}}}}).options(None)
    assert (detected.language, detected.languages) == (None, None)
