"""`GET /v1/models` and `/v1/models/{model}`: the models that run now. One answer serves both dialects."""

import time
from typing import Any, Final

from fastapi import APIRouter, Depends

from frontend.api import documents, refusals
from frontend.api.model_names import resolve
from frontend.gateway import Gateway
from frontend.models import RunningModel
from shared.errors import InvalidFieldError
from shared.events import Mode

OWNER: Final = "voxtral-realtime-streaming"


def router(gateway: Gateway) -> APIRouter:
    routes = APIRouter(tags=["Models"], dependencies=[*refusals.KEYED, Depends(documents.asked_dialect)])
    began_at = int(time.time())

    @routes.get("/v1/models", **documents.MODELS)
    async def models() -> dict[str, Any]:
        """The running models. `created` is when this server began, for models do not tell."""
        return {"object": "list", "data": [_card(model, began_at) for model in await gateway.models()]}

    @routes.get("/v1/models/{model:path}", **documents.MODEL)
    async def model(model: str) -> dict[str, Any]:
        """The running model that a name means; names of OpenAI's and Mistral's services work too."""
        running = await gateway.models()
        name = resolve(model, running, Mode.TRANSCRIBE)
        named = [one for one in running if one.name == name]
        if not named:  # `auto` is no model
            raise InvalidFieldError("model", model, ", ".join(one.name for one in running) or "nothing: none runs now")
        return _card(named[0], began_at)

    return routes


def _card(model: RunningModel, began_at: int) -> dict[str, Any]:
    return {
        "id": model.name,
        "object": "model",
        "created": began_at,
        "owned_by": OWNER,
        "type": "base",
        "capabilities": {
            "completion_chat": Mode.UNDERSTAND in model.modes,
            "audio": Mode.UNDERSTAND in model.modes,
            "audio_transcription": Mode.TRANSCRIBE in model.modes,
            "audio_transcription_realtime": Mode.TRANSCRIBE in model.modes,
        },
    }
