"""The list of models, as either SDK reads it."""

from tests.integration.api_clients import mistral_of, openai_of, request
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
    assert card.id == "whisper-base"
    assert card.capabilities == {
        "completion_chat": False,
        "audio": False,
        "audio_transcription": True,
        "audio_transcription_realtime": True,
    }


def test_names_with_slashes_come_either_way(stack: Stack) -> None:
    for path in ("/v1/models/some%2Fother", "/v1/models/some/other"):
        response, body = request(stack, "GET", path)
        assert response.status == 404
        assert b"model is 'some/other'; allowed: auto, echo." in body
