"""What HTTP clients are told of errors, by dialect."""

import json

import pytest

from frontend.api.errors import refusal
from frontend.api.renderers import MISTRAL, OPENAI, Renderer
from frontend.protocols.error_statuses import STATUSES
from shared.errors import (
    InvalidFieldError,
    MessageTooLargeError,
    MissingFieldError,
    ModelUnavailableError,
    RateLimitedError,
    ReportedError,
    ServerBusyError,
    UnauthorizedError,
    VoxtralError,
)

OURS = [
    kind
    for kind in VoxtralError.__subclasses__()
    if kind.__module__ == VoxtralError.__module__ and kind is not ReportedError
]


@pytest.mark.parametrize("known", OURS)
def test_every_error_has_a_status(known: type[VoxtralError]) -> None:
    assert 400 <= STATUSES[known.code].status < 600


def test_error_of_another_process_has_its_code_and_status() -> None:
    told = ServerBusyError("Try again.", retry_after_s=2.0)
    error = VoxtralError.from_wire({"type": "error", "seq": 3, **told.to_wire()})
    assert (error.code, error.message, error.retry_after_s) == ("server_busy", "Try again.", 2.0)
    assert refusal(error, OPENAI).status_code == 503


@pytest.mark.parametrize("dialect", [OPENAI, MISTRAL])
@pytest.mark.parametrize(
    ("error", "status"),
    [
        (MessageTooLargeError(30_000_000, 26_214_400), 413),
        (UnauthorizedError("No key."), 401),
        (RateLimitedError("Too many requests.", retry_after_s=2.1), 429),
        (ModelUnavailableError("No worker is running.", retry_after_s=0.2), 503),
    ],
)
def test_refusal_has_the_status(error: VoxtralError, status: int, dialect: Renderer) -> None:
    answer = refusal(error, dialect)
    assert answer.status_code == status
    assert ("retry-after" in answer.headers) == (status in (429, 503))


def test_retry_after_is_whole_seconds_rounded_up() -> None:
    assert refusal(RateLimitedError("", retry_after_s=2.1), OPENAI).headers["retry-after"] == "3"
    assert refusal(RateLimitedError("", retry_after_s=0.0), OPENAI).headers["retry-after"] == "1"


def test_openai_body_has_its_four_keys() -> None:
    body = json.loads(refusal(InvalidFieldError("temperature", 3, "0 to 1"), OPENAI).body)
    message = "temperature is 3; allowed: 0 to 1."
    assert body == {
        "error": {
            "message": message,
            "type": "invalid_request_error",
            "param": "temperature",
            "code": "invalid_value",
        }
    }


def test_unknown_model_is_404_for_openai_and_400_for_mistral() -> None:
    error = InvalidFieldError("model", "x", "auto, echo")
    openai, mistral = refusal(error, OPENAI), refusal(error, MISTRAL)
    assert (openai.status_code, json.loads(openai.body)["error"]["code"]) == (404, "model_not_found")
    assert mistral.status_code == 400
    assert json.loads(mistral.body) == {
        "object": "error",
        "message": error.message,
        "type": "invalid_model",
        "param": "model",
        "code": "model_not_found",
    }


def test_missing_field_is_422_for_mistral_with_a_list_of_details() -> None:
    error = MissingFieldError("The field file is missing.", field="file")
    assert refusal(error, OPENAI).status_code == 400
    answer = refusal(error, MISTRAL)
    assert answer.status_code == 422
    assert json.loads(answer.body)["detail"] == [
        {"loc": ["body", "file"], "msg": error.message, "type": "missing_field"}
    ]
