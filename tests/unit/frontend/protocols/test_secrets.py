"""Errors do not repeat values that hold secrets or voices: URLs, and known speakers in any form."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from starlette.datastructures import FormData

from frontend.api.transcription_request import mistral_order
from frontend.api.upload_form import Form
from frontend.protocols.deepgram.query import listen
from frontend.protocols.mistral.realtime import MistralRealtime
from frontend.protocols.native.messages import parse_message
from frontend.protocols.openai.chat import parse_chat
from frontend.protocols.openai.realtime import OpenAIRealtime
from frontend.protocols.options import OPTIONS, parse_text
from frontend.protocols.whisperlive.options import parse_options
from shared.config.sections import AudioSettings
from shared.errors import VoxtralError
from tests.unit.frontend.protocols.openai.openai_wire import Wire, error_of, update
from tests.unit.frontend.protocols.whisperlive.test_whisperlive import OPTIONS as WHISPERLIVE_OPTIONS

SECRET = "s3cret"
URL = f"https://user:{SECRET}@host.example/"


def native(kind: str, **fields: Any) -> None:
    parse_message({"type": kind, **fields}, AudioSettings())


def mistral(**session: Any) -> None:
    MistralRealtime("r", "auto").receive(json.dumps({"type": "session.update", "session": session}))


def chat(url: str) -> None:
    part = {"type": "audio_url", "audio_url": {"url": url}}
    parse_chat({"messages": [{"role": "user", "content": [part]}]})


@pytest.mark.parametrize(
    "request_with_secret",
    [
        lambda: native("configure", webhook=URL),
        lambda: native("configure", known_speakers=[{"name": "Ann", "embedding": SECRET}]),
        lambda: native("start", webhook=[URL]),
        lambda: native("start", known_speakers={SECRET: SECRET}),
        lambda: parse_text("known_speakers", SECRET, OPTIONS["known_speakers"].kind),
        lambda: mistral(webhook={"url": URL}),
        lambda: mistral(speaker_references=[SECRET]),
        lambda: mistral_order(Form(FormData([("file_url", URL)]), "")),
        lambda: listen({"callback": [URL]}),
        lambda: chat(URL),
        lambda: parse_options(WHISPERLIVE_OPTIONS | {"enable_diarization": True, "known_speakers": [SECRET]}),
    ],
)
def test_error_does_not_repeat_a_secret(request_with_secret: Callable[[], object]) -> None:
    with pytest.raises(VoxtralError) as refused:
        request_with_secret()
    assert "is '…'" in refused.value.message
    assert SECRET not in refused.value.message


@pytest.mark.parametrize("fields", [{"webhook": [URL]}, {"known_speakers": {SECRET: SECRET}}])
def test_openais_error_does_not_repeat_a_secret(fields: dict[str, Any]) -> None:
    error = error_of(update(Wire(OpenAIRealtime()), transcription=fields))
    assert SECRET not in error["message"]
