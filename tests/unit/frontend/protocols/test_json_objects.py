"""The JSON objects that clients send."""

import pytest

from frontend.protocols.json_objects import MAX_VALUES, decode_body, decode_message
from shared.errors import InvalidJsonError


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"\xff", "The body is not UTF-8."),
        (b"", "The body is not JSON: "),
        (b"[1]", "The body is [1]; it must be a JSON object."),
        (b"[" * (MAX_VALUES + 1), f"The body contains more than {MAX_VALUES} values; a body is one flat object."),
    ],
)
def test_a_body_that_is_no_object_is_rejected(body: bytes, sentence: str) -> None:
    with pytest.raises(InvalidJsonError) as raised:
        decode_body(body)
    assert str(raised.value).startswith(sentence)


def test_a_body_and_a_message_are_decoded_alike() -> None:
    assert decode_body(b'{"text": "\xc3\xa9"}') == decode_message('{"text": "\u00e9"}') == {"text": "\u00e9"}
