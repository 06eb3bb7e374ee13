"""`GET /v1/models` and `/v1/models/{model}`: the running models. One response serves both dialects."""

import time
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path

from frontend.api.openapi import documents, refusals
from frontend.sessions.gateway import Gateway
from frontend.sessions.model_names import resolve
from frontend.sessions.placement import AUTO, candidates
from frontend.sessions.running_models import RunningModel
from shared.errors import InvalidFieldError
from shared.session_options import Mode, SessionOptions

OWNER: Final = "voxtral-realtime-streaming"
_NAMES: Final = "The name of a running model. Names of OpenAI's and Mistral's models work too; `auto` is the best one."


def router(gateway: Gateway) -> APIRouter:
    routes = APIRouter(tags=["Models"], dependencies=[*refusals.KEYED, Depends(documents.asked_dialect)])
    began_at = int(time.time())

    @routes.head("/v1/models", include_in_schema=False, response_model=None)
    @routes.get("/v1/models", **documents.MODELS)
    async def models() -> dict[str, Any]:
        """List the running models. `created` is the start time of this server, because models do not report theirs."""
        return {"object": "list", "data": [_card(model, began_at) for model in await gateway.models()]}

    @routes.head("/v1/models/{model:path}", include_in_schema=False, response_model=None)
    @routes.get("/v1/models/{model:path}", **documents.MODEL)
    async def model(model: Annotated[str, Path(description=_NAMES, examples=["auto"])]) -> dict[str, Any]:
        """Show the running model with this name."""
        running = await gateway.models()
        if not model:  # requests may leave the name empty; in this address it is an error
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
