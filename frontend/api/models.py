"""`GET /v1/models` and `/v1/models/{model}`: the models that run now. One answer serves both dialects."""

import time
from typing import Any, Final

from fastapi import APIRouter, Depends

from frontend.api.openapi import documents, refusals
from frontend.sessions.gateway import Gateway
from frontend.sessions.model_names import resolve
from frontend.sessions.placement import AUTO, candidates
from frontend.sessions.running_models import RunningModel
from shared.errors import InvalidFieldError
from shared.events import Mode, SessionOptions

OWNER: Final = "voxtral-realtime-streaming"


def router(gateway: Gateway) -> APIRouter:
    routes = APIRouter(tags=["Models"], dependencies=[*refusals.KEYED, Depends(documents.asked_dialect)])
    began_at = int(time.time())

    @routes.head("/v1/models", include_in_schema=False, response_model=None)
    @routes.get("/v1/models", **documents.MODELS)
    async def models() -> dict[str, Any]:
        """The running models. `created` is when this server began, for models do not tell."""
        return {"object": "list", "data": [_card(model, began_at) for model in await gateway.models()]}

    @routes.head("/v1/models/{model:path}", include_in_schema=False, response_model=None)
    @routes.get("/v1/models/{model:path}", **documents.MODEL)
    async def model(model: str) -> dict[str, Any]:
        """The running model that a name means; names of OpenAI's and Mistral's services work too. `auto`: the best."""
        running = await gateway.models()
        if not model:  # requests may leave the name empty; here it is the address of nothing
            raise InvalidFieldError("model", model, ", ".join([AUTO, *(one.name for one in running)]))
        meant = SessionOptions(model=resolve(model, running, Mode.TRANSCRIBE))
        return _card(candidates(running, meant)[0], began_at)

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
