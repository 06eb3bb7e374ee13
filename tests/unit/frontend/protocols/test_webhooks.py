"""Webhooks in every API whose sessions may name one: the fields, and that a session keeps its webhook."""

import json
from typing import Any

import pytest

from frontend.protocols.dialect import Check, Open
from frontend.protocols.mistral.realtime import MistralRealtime
from frontend.protocols.native.messages import parse_message
from frontend.protocols.openai.realtime import OpenAIRealtime
from frontend.protocols.options import OPTIONS
from shared.config.sections import AudioSettings
from shared.errors import InvalidFieldError
from tests.unit.frontend.protocols.openai.openai_wire import Wire, connected, error_of, update

URL = "https://receiver.example/hook?token=s3cret"
WANTED: dict[str, Any] = {"webhook": URL, "webhook_events": ["done", "final", "done"]}
BAD = {"webhook": "receiver.example/s3cret", "webhook_events": ["partial"]}


def test_native_session_names_its_webhook() -> None:
    action = parse_message({"type": "start", **WANTED}, AudioSettings())
    assert isinstance(action, Open)
    assert (action.options.webhook, action.options.webhook_events) == (URL, ("done", "final"))
    assert "s3cret" not in repr(action)
    for name, value in BAD.items():
        with pytest.raises(InvalidFieldError, match=f"^{name} is ") as refused:
            parse_message({"type": "start", name: value}, AudioSettings())
        assert "s3cret" not in str(refused.value)


def test_error_of_a_url_says_what_is_wrong() -> None:
    allowed = r"a URL of at most 2048 characters, .*; a URL must not contain a fragment \(#\)"
    with pytest.raises(InvalidFieldError, match=rf"^webhook is '…'; allowed: {allowed}\.$"):
        OPTIONS["webhook"].parse("https://receiver.example/#top")


@pytest.mark.parametrize("name", WANTED)
def test_native_session_keeps_its_webhook(name: str) -> None:
    with pytest.raises(InvalidFieldError, match="in start only"):
        parse_message({"type": "configure", name: WANTED[name]}, AudioSettings())


def test_openais_session_names_its_webhook_before_any_audio() -> None:
    wire = connected(transcription={"model": "echo", **WANTED})
    assert wire.sent[-1]["session"]["audio"]["input"]["transcription"]["webhook"] == URL
    wire.append(200)
    (opened,) = wire.taken(Open)
    assert isinstance(opened, Open)
    assert (opened.options.webhook, opened.options.webhook_events) == (URL, ("done", "final"))
    error = error_of(update(wire, transcription={"webhook": "https://other.example/"}))
    assert (error["code"], error["param"]) == ("invalid_parameter", "session.audio.input.transcription.webhook")


@pytest.mark.parametrize("name", BAD)
def test_openais_session_rejects_a_bad_webhook(name: str) -> None:
    error = error_of(update(Wire(OpenAIRealtime()), transcription={name: BAD[name]}))
    assert error["param"].startswith(f"session.audio.input.transcription.{name}")
    assert "s3cret" not in error["message"]


def test_mistrals_session_names_its_webhook() -> None:
    dialect = MistralRealtime("r1", "auto")
    check, _ = dialect.receive(json.dumps({"type": "session.update", "session": WANTED}))
    assert isinstance(check, Check)
    assert (check.options.webhook, check.options.webhook_events) == (URL, ("done", "final"))
    for name, value in BAD.items():
        with pytest.raises(InvalidFieldError, match=f"^{name} is "):
            dialect.receive(json.dumps({"type": "session.update", "session": {name: value}}))
