"""Key terms have one meaning in every API, and become the same option."""

from typing import Any

import pytest
from starlette.datastructures import FormData, Headers, UploadFile

from frontend.api.transcription_request import mistral_order, openai_order
from frontend.api.upload_form import MULTIPART, Form
from frontend.protocols.dialect import Configure, Open
from frontend.protocols.keyterms import KeyTerms
from frontend.protocols.mistral.session import MistralSession
from frontend.protocols.native.messages import parse_message
from shared.config.sections import AudioSettings
from shared.errors import InvalidFieldError
from shared.session_options import KeyTerm
from tests.unit.frontend.protocols.openai.openai_wire import connected, error_of, update

GIVEN = [{"term": "Ann  Lee ", "boost": 3}, "Bob", "Bob", {"term": "Zyrtalin"}]
MEANT = (KeyTerm("Ann Lee", 3.0), KeyTerm("Bob"), KeyTerm("Zyrtalin"))
WRONG: list[tuple[Any, str]] = [
    ("Bob", "a list of at most 200 terms"),
    (["x" * 101], "1 to 100 characters"),
    ([" "], "1 to 100 characters"),
    ([5], "strings of 1 to 100"),
    ([{"boost": 1}], '"term": "Ann Lee"'),
    ([{"term": "Bob", "weight": 1}], '"term": "Ann Lee"'),
    ([{"term": "Bob", "boost": 4.1}], "boost from 0 to 4"),
    ([{"term": "Bob", "boost": True}], "boost from 0 to 4"),
    ([f"term {number}" for number in range(201)], "at most 200"),
]


def form(*fields: tuple[str, str]) -> Form:
    file = UploadFile(None, size=1, filename="a.wav", headers=Headers())  # type: ignore[arg-type]
    return Form(FormData([("file", file), *fields]), MULTIPART)


@pytest.mark.parametrize("kind", ["start", "audio", "configure"])
def test_native_messages(kind: str) -> None:
    action: Any = parse_message({"type": kind, "audio_data": "UklGRg==", "keyterms": GIVEN}, AudioSettings())
    assert (action.changes["keyterms"] if kind == "configure" else action.options.keyterms) == MEANT
    for value, allowed in WRONG:
        with pytest.raises(InvalidFieldError, match="keyterms") as caught:
            parse_message({"type": kind, "audio_data": "UklGRg==", "keyterms": value}, AudioSettings())
        assert allowed in caught.value.message


def test_forms_take_lists_objects_and_the_words_of_each_api() -> None:
    fields = [("keyterms", '{"term": "Ann Lee", "boost": 3}'), ("keyterms[]", "Bob, Zyrtalin")]
    assert openai_order(form(*fields, ("keywords[]", "Eve")), "transcribe").options.keyterms == (*MEANT, KeyTerm("Eve"))
    assert mistral_order(form(*fields, ("context_bias", "Eve,Bob"))).options.keyterms == (*MEANT, KeyTerm("Eve"))
    assert openai_order(form(), "translate").options.keyterms is None
    many = ",".join(map(str, range(150)))
    with pytest.raises(InvalidFieldError, match="299 terms"):
        openai_order(form(("keyterms", many), ("keywords", many.replace(",", "x,"))), "transcribe")


def test_openais_live_transcription_maps_keywords_and_merges_updates() -> None:
    wire = connected(transcription={"model": "echo", "prompt": "p", "keywords": ["Eve"], "keyterms": GIVEN})
    wire.append(100)
    options = wire.taken(Open)[0].options  # type: ignore[attr-defined]
    assert (options.prompt, options.keyterms) == ("p", (*MEANT, KeyTerm("Eve")))
    told = update(wire, transcription={"keywords": None})[0]["session"]["audio"]["input"]["transcription"]
    assert told["keyterms"] == [{"term": one.term, "boost": one.boost} for one in MEANT]
    assert wire.taken(Configure)[0].options.keyterms == MEANT  # type: ignore[attr-defined]
    error = error_of(update(wire, transcription={"keyterms": WRONG[6][0]}))
    assert error["param"] == "session.audio.input.transcription.keyterms"
    update(wire, transcription={"keyterms": []})
    assert wire.taken(Configure)[-1].options.keyterms is None  # type: ignore[attr-defined]


def test_mistrals_live_transcription_maps_context_bias() -> None:
    session = MistralSession("id", "auto").updated({"context_bias": ["Eve"], "keyterms": GIVEN})
    assert session.options.keyterms == (*MEANT, KeyTerm("Eve"))
    assert session.options.prompt is None
    wire = session.to_wire()
    assert (wire["context_bias"], wire["keyterms"][0]) == (["Eve"], {"term": "Ann Lee", "boost": 3.0})
    cleared = session.updated({"context_bias": None, "keyterms": None})
    assert cleared.options.keyterms is None
    assert "keyterms" not in cleared.to_wire(), "its own fields are told only if they are set"


def test_schema_allows_what_is_parsed() -> None:
    items = KeyTerms(200, 100, 4.0).schema()["items"]["anyOf"]
    assert [one["type"] for one in items] == ["string", "object"]
