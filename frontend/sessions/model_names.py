"""The names by which clients of other services ask for a model, and the running model that each of them means.

Their code keeps the name that it has; only what runs here can answer. A name that nothing here answers to is an
error, so that nobody takes one model's answer for another's.
"""

from collections.abc import Sequence
from typing import Final

from frontend.sessions.placement import AUTO, PREFERRED_ENGINES, none_runs
from frontend.sessions.running_models import RunningModel
from shared.errors import InvalidFieldError
from shared.events import Mode
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
"""By public name, the engines that answer to it, the best first. Mistral's names stand for models that can run here."""
OPENAI_PREFIX: Final = "gpt-"
OPENAI_WORDS: Final = {"transcribe": Mode.TRANSCRIBE, "whisper": Mode.TRANSCRIBE, "audio": Mode.UNDERSTAND}
"""OpenAI's other names stand for its service, whose place this one takes: code that was written for it keeps whichever
it has. A word between hyphens tells what a model is for: `gpt-4o-mini-transcribe-2025-12-15`, `gpt-audio-mini`."""
SPEAKERS: Final = "diarize"
"""In a transcription name of OpenAI's: a model that tells who speaks."""
PUBLISHED: Final = {
    "mistralai/Voxtral-Mini-3B-2507": OFFLINE,
    "mistralai/Voxtral-Mini-4B-Realtime-2602": REALTIME,
    "mistralai/Voxtral-Small-24B-2507": OFFLINE,
    **dict.fromkeys(WHISPER_MODELS, WHISPER),
}
"""The engine of each model that a worker can run, and would have to for a public name."""


def resolve(name: str | None, running: Sequence[RunningModel], mode: Mode, *, is_live: bool = False) -> str:
    """The name of the running model that a client means; `auto` where it leaves the choice to us.

    Of several that a name may mean, one that serves `mode` comes first. OpenAI's name for a model that tells speakers
    apart means one that transcribes, for whoever wants plain text: speakers are asked for by the format. Where a
    client `is_live`, no format is chosen and the name alone asks for them, which is refused.

    Raises InvalidFieldError that names what runs and, for a public name, what would have to; ModelUnavailableError
    when nothing runs.
    """
    if not name or name.casefold() == AUTO:
        return AUTO
    if not running:
        raise none_runs()
    meant = _own(name, running)
    if not meant and not (is_live and _tells_speakers(name)):
        meant = [model for model in running if _stands_for(model.name, model.engine, name)]
        meant.sort(key=lambda model: (_engines(name).index(model.engine), accuracy_rank(model.name)))
    if not meant:
        allowed = ", ".join([AUTO, *(model.name for model in running)])
        raise InvalidFieldError("model", name, allowed + _reason(name, is_live=is_live))
    return next((model for model in meant if mode in model.modes), meant[0]).name


def check_live(name: str | None, running: Sequence[RunningModel]) -> None:
    """Raises InvalidFieldError for a name that no live session could have, whichever models come and go meanwhile."""
    names = {model.name for model in running}
    others = [
        RunningModel(name, engine, (Mode.TRANSCRIBE,), (), workers=0, slots=0, slots_free=0)
        for name, engine in PUBLISHED.items()
        if name not in names
    ]
    resolve(name, [*running, *others], Mode.TRANSCRIBE, is_live=True)


def _own(name: str, running: Sequence[RunningModel]) -> list[RunningModel]:
    """The models that have this name themselves."""
    return [model for model in running if model.name == name] or [model for model in running if model.answers_to(name)]


def _reason(name: str, *, is_live: bool) -> str:
    """Why nothing that runs answers to a public name, as the end of a sentence; nothing for any other name."""
    if is_live and _tells_speakers(name):
        return "; no model here tells speakers apart"
    able = [model for model, engine in PUBLISHED.items() if _stands_for(model, engine, name)]
    able = [model for model in able if model not in WHISPER_MODELS or model == EMBEDDED_WHISPER]  # one stands for all
    return f"; this name needs {' or '.join(able)}" if able else ""


def _stands_for(model: str, engine: str, name: str) -> bool:
    """Whether a public name may mean a model. Mini and Small are served by one engine; only names tell them apart."""
    if engine not in _engines(name):
        return False
    alias = name.casefold()
    return engine != OFFLINE or "voxtral" not in alias or ("small" in model.casefold()) == ("small" in alias)


def _engines(name: str) -> tuple[str, ...]:
    """Those that answer to a public name, the best first; none for any other name."""
    alias = name.casefold()
    if alias in ALIASES:
        return ALIASES[alias]
    modes = [OPENAI_WORDS[word] for word in _openai_words(alias) if word in OPENAI_WORDS]
    return PREFERRED_ENGINES[modes[0]] if modes else ()


def _tells_speakers(name: str) -> bool:
    return SPEAKERS in _openai_words(name.casefold()) and bool(_engines(name))


def _openai_words(alias: str) -> list[str]:
    return alias.removeprefix(OPENAI_PREFIX).split("-") if alias.startswith(OPENAI_PREFIX) else []
