"""The options that say how text is written have the same names and bounds in every API."""

from typing import Any

import pytest
from starlette.datastructures import FormData, Headers, UploadFile

from frontend.api.transcription_request import mistral_order, openai_order
from frontend.api.upload_form import MULTIPART, Form
from frontend.protocols.dialect import Configure, Open
from frontend.protocols.mistral.session import MistralSession
from frontend.protocols.native.messages import parse_message
from frontend.protocols.options import WORDING
from shared.config.sections import AudioSettings
from shared.errors import InvalidFieldError
from shared.session_options import SessionOptions
from tests.unit.frontend.protocols.openai.openai_wire import connected, error_of, update

GIVEN: dict[str, Any] = {
    "numerals": True,
    "profanity": "mask",
    "filler_words": "drop",
    "redact": ["phones", "cards"],
    "redact_terms": ["Ann Lee", "Bob"],
    "revise": True,
}
WRONG: dict[str, Any] = {
    "numerals": "yes",
    "profanity": "hide",
    "filler_words": "mask",
    "redact": ["names"],
    "redact_terms": ["x" * 101],
    "revise": "yes",
}
FORM_FIELDS = [
    ("numerals", "true"),
    ("profanity", "mask"),
    ("filler_words", "drop"),
    ("redact[]", "phones"),
    ("redact[]", "cards"),
    ("redact_terms", '["Ann Lee", "Bob"]'),
    ("revise", "true"),
]


def wording(options: SessionOptions) -> dict[str, Any]:
    values = {name: getattr(options, name) for name in WORDING}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def form(*fields: tuple[str, str]) -> Form:
    file = UploadFile(None, size=1, filename="a.wav", headers=Headers())  # type: ignore[arg-type]
    return Form(FormData([("file", file), *fields]), MULTIPART)


def test_recordings_of_openai_and_mistral() -> None:
    for order in (openai_order(form(*FORM_FIELDS), "transcribe"), mistral_order(form(*FORM_FIELDS))):
        assert wording(order.options) == GIVEN
    assert wording(openai_order(form(), "translate").options) == dict.fromkeys(WORDING)


@pytest.mark.parametrize("name", WORDING)
def test_wrong_values_of_forms_are_named(name: str) -> None:
    value = WRONG[name] if isinstance(WRONG[name], str) else WRONG[name][0]
    with pytest.raises(InvalidFieldError) as caught:
        openai_order(form((name, value)), "transcribe")
    assert caught.value.field == name
    assert "xxx" not in caught.value.message


def test_openais_live_transcription() -> None:
    wire = connected(transcription={"model": "echo", **GIVEN})
    wire.append(100)
    assert wording(wire.taken(Open)[0].options) == GIVEN  # type: ignore[attr-defined]
    told = update(wire, transcription={"redact": [], "numerals": None})[0]["session"]["audio"]["input"]["transcription"]
    assert (told["redact"], told["numerals"], told["redact_terms"]) == (None, None, ["Ann Lee", "Bob"])
    changed = wording(wire.taken(Configure)[0].options)  # type: ignore[attr-defined]
    assert changed == GIVEN | {"redact": None, "numerals": None}


@pytest.mark.parametrize("name", WORDING)
def test_wrong_values_of_openais_live_transcription_are_named(name: str) -> None:
    error = error_of(update(connected(), transcription={name: WRONG[name]}))
    assert error["param"] == f"session.audio.input.transcription.{name}"


def test_mistrals_live_transcription() -> None:
    session = MistralSession("id", "auto").updated(GIVEN)
    assert wording(session.options) == GIVEN
    assert session.to_wire().items() >= GIVEN.items()
    cleared = session.updated({"redact": None, "redact_terms": []})
    assert wording(cleared.options) == GIVEN | {"redact": None, "redact_terms": None}
    assert "redact" not in cleared.to_wire(), "its own fields are told only if they are set"


@pytest.mark.parametrize("name", WORDING)
def test_wrong_values_of_mistrals_live_transcription_are_named(name: str) -> None:
    with pytest.raises(InvalidFieldError) as caught:
        MistralSession("id", "auto").updated({name: WRONG[name]})
    assert caught.value.field == name


@pytest.mark.parametrize("kind", ["start", "audio", "configure"])
def test_native_messages(kind: str) -> None:
    action: Any = parse_message({"type": kind, "audio_data": "UklGRg==", **GIVEN}, AudioSettings())
    if kind == "configure":
        assert wording(SessionOptions(**action.changes)) == GIVEN
    else:
        assert wording(action.options) == GIVEN
    for name in WORDING:
        with pytest.raises(InvalidFieldError) as caught:
            parse_message({"type": kind, "audio_data": "UklGRg==", name: WRONG[name]}, AudioSettings())
        assert caught.value.field == name
