"""The JSON objects that clients send."""

import pytest

from frontend.protocols.json_objects import MAX_DEPTH, MAX_VALUES, decode_body, decode_message
from frontend.protocols.options import OPTIONS, parse_json, parse_text
from shared.errors import InvalidFieldError, InvalidJsonError


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"\xff", "The body is not UTF-8."),
        (b"", "The body is not JSON: "),
        (b"[1]", "The body is [1]; it must be a JSON object."),
        (
            b'{"a":' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}",
            f"The body is nested more than {MAX_DEPTH} levels deep.",
        ),
        (b"[" * (MAX_VALUES + 1), f"The body contains more than {MAX_VALUES} values; a body is one flat object."),
    ],
)
def test_a_body_that_is_no_object_is_rejected(body: bytes, sentence: str) -> None:
    with pytest.raises(InvalidJsonError) as raised:
        decode_body(body)
    assert str(raised.value).startswith(sentence)


def test_a_body_and_a_message_are_decoded_alike() -> None:
    assert decode_body(b'{"text": "\xc3\xa9"}') == decode_message('{"text": "\u00e9"}') == {"text": "\u00e9"}


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_rejects_the_deepest_values(option: str) -> None:
    levels = MAX_DEPTH - 1
    deepest = decode_body(b'{"value":' + b"[" * levels + b"]" * levels + b"}")["value"]
    with pytest.raises(InvalidFieldError):
        parse_json(option, deepest, OPTIONS[option].kind)


@pytest.mark.parametrize("option", ["keyterms", "turn_detection", "known_speakers"])
@pytest.mark.parametrize("text", ["[" * 1000 + "]" * 1000, '{"type":' * 1000 + "1" + "}" * 1000])
def test_deep_json_in_a_field_of_a_form_is_rejected(option: str, text: str) -> None:
    with pytest.raises(InvalidFieldError):
        parse_text(option, text, OPTIONS[option].kind)
