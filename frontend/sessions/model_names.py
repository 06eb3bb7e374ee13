"""Public model names of other services, and the running model that each of them selects.

Client code keeps the name that it uses; only models that run here can answer. A name without a matching model is an
error, so that no client mistakes one model's answer for another's.
"""

from collections.abc import Sequence
from typing import Final

from frontend.sessions.placement import AUTO, PREFERRED_ENGINES, none_runs
from frontend.sessions.running_models import RunningModel, named
from shared.errors import InvalidFieldError
from shared.session_options import Mode
from shared.whisper_models import EMBEDDED_WHISPER, WHISPER_MODELS, accuracy_rank

REALTIME: Final = "voxtral_realtime"
OFFLINE: Final = "voxtral"
WHISPER: Final = "whisper"

_MINI: Final = (OFFLINE, REALTIME)
ALIASES: Final[dict[str, tuple[str, ...]]] = {
    "voxtral-mini-transcribe-realtime-2602": (REALTIME,),
    "voxtral-mini-transcribe-realtime-latest": (REALTIME,),
    "voxtral-mini-realtime-2602": (REALTIME,),
    "voxtral-mini-realtime-latest": (REALTIME,),
    "voxtral-mini-latest": _MINI,
    "voxtral-mini-2507": _MINI,
    "voxtral-mini-2602": _MINI,
    "voxtral-mini-transcribe-2507": _MINI,
    "voxtral-mini-transcribe-2602": _MINI,
    "voxtral-mini-transcribe-latest": _MINI,
    "voxtral-small-latest": (OFFLINE,),
    "voxtral-small-2507": (OFFLINE,),
    "whisper-1": (WHISPER, *PREFERRED_ENGINES[Mode.TRANSCRIBE]),
}
"""By public name, the engines that can serve it, the best first. Mistral's names match models that can run here."""
OPENAI_PREFIX: Final = "gpt-"
OPENAI_WORDS: Final = {"transcribe": Mode.TRANSCRIBE, "whisper": Mode.TRANSCRIBE, "audio": Mode.UNDERSTAND}
"""OpenAI's other names mean its service, which this service replaces: client code keeps whichever name it has. A word
between hyphens gives the purpose of a model: `gpt-4o-mini-transcribe-2025-12-15`, `gpt-audio-mini`."""
PUBLISHED: Final = {
    "mistralai/Voxtral-Mini-3B-2507": OFFLINE,
    "mistralai/Voxtral-Mini-4B-Realtime-2602": REALTIME,
    "mistralai/Voxtral-Small-24B-2507": OFFLINE,
    **dict.fromkeys(WHISPER_MODELS, WHISPER),
}
"""The engine of each model that a worker can run, and that a public name may require."""


def resolve(name: str | None, running: Sequence[RunningModel], mode: Mode) -> str:
    """The name of the running model that a client means; `auto` if it leaves the choice to the service.

    If several models match, one that serves `mode` comes first.

    Raises InvalidFieldError that names the running models and, for a public name, the model that it needs;
    ModelUnavailableError if no model runs.
    """
    if not name or name.casefold() == AUTO:
        return AUTO
    if not running:
        raise none_runs()
    meant = named(name, running)
    if not meant:
        meant = [model for model in running if _stands_for(model.name, model.engine, name)]
        meant.sort(key=lambda model: (_engines(name).index(model.engine), accuracy_rank(model.name)))
    if not meant:
        allowed = ", ".join([AUTO, *(model.name for model in running)])
        raise InvalidFieldError("model", name, allowed + _reason(name))
    return next((model for model in meant if mode in model.modes), meant[0]).name


def check_live(name: str | None, running: Sequence[RunningModel]) -> None:
    """Raises InvalidFieldError for a name that no live session could use, whichever models start or stop meanwhile."""
    names = {model.name for model in running}
    others = [
        RunningModel(name, engine, (Mode.TRANSCRIBE,), (), workers=0, slots=0, slots_free=0)
        for name, engine in PUBLISHED.items()
        if name not in names
    ]
    resolve(name, [*running, *others], Mode.TRANSCRIBE)


def _reason(name: str) -> str:
    """Why no running model matches a public name, as the end of a sentence; empty for any other name."""
    able = [model for model, engine in PUBLISHED.items() if _stands_for(model, engine, name)]
    able = [model for model in able if model not in WHISPER_MODELS or model == EMBEDDED_WHISPER]  # one represents all
    return f"; this name needs {' or '.join(able)}" if able else ""


def _stands_for(model: str, engine: str, name: str) -> bool:
    """Whether a public name may mean a model. One engine serves Mini and Small; only their names distinguish them."""
    if engine not in _engines(name):
        return False
    alias = name.casefold()
    return engine != OFFLINE or "voxtral" not in alias or ("small" in model.casefold()) == ("small" in alias)


def _engines(name: str) -> tuple[str, ...]:
    """The engines that can serve a public name, the best first; none for any other name."""
    alias = name.casefold()
    if alias in ALIASES:
        return ALIASES[alias]
    modes = [OPENAI_WORDS[word] for word in _openai_words(alias) if word in OPENAI_WORDS]
    return PREFERRED_ENGINES[modes[0]] if modes else ()


def _openai_words(alias: str) -> list[str]:
    return alias.removeprefix(OPENAI_PREFIX).split("-") if alias.startswith(OPENAI_PREFIX) else []
