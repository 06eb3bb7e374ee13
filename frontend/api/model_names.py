"""The names by which clients of other services ask for a model, and the running model that each of them means.

Their code keeps the name that it has; only what runs here can answer. A name that nothing here answers to is an
error, so that nobody takes one model's answer for another's.
"""

from collections.abc import Sequence
from typing import Final

from frontend.models import RunningModel
from frontend.placement import AUTO, PREFERRED_ENGINES, none_runs
from shared.errors import InvalidFieldError
from shared.events import Mode

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
    "gpt-4o-transcribe": PREFERRED_ENGINES[Mode.TRANSCRIBE],
    "gpt-4o-mini-transcribe": PREFERRED_ENGINES[Mode.TRANSCRIBE],
    "gpt-realtime-whisper": PREFERRED_ENGINES[Mode.TRANSCRIBE],
}
"""By public name, the engines that answer to it, the best first. OpenAI's names stand for its service, whose place
this one takes: code that was written for it keeps whichever it has. Mistral's stand for models that can run here."""
PUBLISHED: Final = {
    "mistralai/Voxtral-Mini-3B-2507": OFFLINE,
    "mistralai/Voxtral-Mini-4B-Realtime-2602": REALTIME,
    "mistralai/Voxtral-Small-24B-2507": OFFLINE,
}
"""The engine of each model that a worker would have to run for Mistral's names."""


def resolve(name: str | None, running: Sequence[RunningModel], mode: Mode) -> str:
    """The name of the running model that a client means; `auto` where it leaves the choice to us.

    Of several that a name may mean, one that serves `mode` comes first. Raises InvalidFieldError that names what
    runs and, for a public name, what would have to; ModelUnavailableError when nothing runs.
    """
    if not name or name.casefold() == AUTO:
        return AUTO
    if not running:
        raise none_runs()
    meant = _meant(name, running)
    if not meant:
        raise InvalidFieldError("model", name, ", ".join([AUTO, *(model.name for model in running)]) + _need(name))
    return next((model for model in meant if mode in model.modes), meant[0]).name


def _meant(name: str, running: Sequence[RunningModel]) -> list[RunningModel]:
    own = [model for model in running if model.name == name] or [model for model in running if model.answers_to(name)]
    if own:
        return own
    alias = name.casefold()
    engines = ALIASES.get(alias, ())
    return [
        model
        for engine in dict.fromkeys(engines)
        for model in running
        if model.engine == engine and _is_of_size(model.name, engine, alias)
    ]


def _need(name: str) -> str:
    """What could answer to a public name, as the end of a sentence; nothing for any other name."""
    alias = name.casefold()
    engines = ALIASES.get(alias, ())
    able = [model for model, engine in PUBLISHED.items() if engine in engines and _is_of_size(model, engine, alias)]
    return f"; this name needs {' or '.join(able)}" if able else ""


def _is_of_size(model: str, engine: str, alias: str) -> bool:
    """Mini and Small are served by one engine; only their names tell them apart."""
    if engine != OFFLINE or "voxtral" not in alias:
        return True
    return ("small" in model.casefold()) == ("small" in alias)
