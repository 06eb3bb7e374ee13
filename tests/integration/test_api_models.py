"""The list of models, as either SDK reads it."""

import pytest
from openai import NotFoundError

from tests.integration.api_clients import mistral_of, openai_of, request, silent_wav
from tests.stack import Stack


def test_both_sdks_list_what_runs(stack: Stack) -> None:
    with openai_of(stack) as client:
        [model] = client.models.list().data
        assert (model.id, model.object) == ("echo", "model")
        assert client.models.retrieve("ECHO").id == "echo"
    with mistral_of(stack) as client:
        [card] = client.models.list().data
        assert (card.id, card.type, card.capabilities.audio_transcription) == ("echo", "base", True)
        assert client.models.retrieve(model_id="echo").id == "echo"


def test_public_names_mean_what_runs(whisper_stack: Stack) -> None:
    with openai_of(whisper_stack) as client:
        card = client.models.retrieve("whisper-1")
        assert client.models.retrieve("auto") == client.models.retrieve("gpt-4o-transcribe-diarize") == card
    assert card.id == "whisper-base"
    assert card.capabilities == {
        "completion_chat": False,
        "audio": False,
        "audio_transcription": True,
        "audio_transcription_realtime": True,
    }


@pytest.mark.parametrize(
    ("name", "needed"),
    [
        ("voxtral-small-latest", "mistralai/Voxtral-Small-24B-2507"),
        ("gpt-audio-mini", "mistralai/Voxtral-Mini-3B-2507"),
    ],
)
def test_a_public_name_that_nothing_stands_for_is_refused_as_in_a_request(
    whisper_stack: Stack, name: str, needed: str
) -> None:
    with openai_of(whisper_stack) as client:
        with pytest.raises(NotFoundError, match=f"allowed: auto, whisper-base; this name needs {needed}") as unknown:
            client.models.retrieve(name)
        with pytest.raises(NotFoundError) as unserved:
            client.audio.transcriptions.create(model=name, file=("x.wav", silent_wav(1)))
    assert unknown.value.body == unserved.value.body


def test_names_with_slashes_come_either_way(stack: Stack) -> None:
    for path in ("/v1/models/some%2Fother", "/v1/models/some/other"):
        response, body = request(stack, "GET", path)
        assert response.status == 404
        assert b"model is 'some/other'; allowed: auto, echo." in body
    response, body = request(stack, "GET", "/v1/models/")
    assert (response.status, b"model is ''; allowed: auto, echo." in body) == (404, True)
