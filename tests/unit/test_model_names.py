"""Public names of models, and the running model that each of them means."""

import pytest

from frontend.api.model_names import resolve
from frontend.models import RunningModel
from shared.errors import InvalidFieldError, ModelUnavailableError
from shared.events import Mode


def _running(name: str, engine: str, *modes: Mode) -> RunningModel:
    return RunningModel(name, engine, modes or (Mode.TRANSCRIBE,), (), workers=1, slots=8, slots_free=8)


WHISPER = _running("whisper-base", "whisper")
REALTIME = _running("mistralai/Voxtral-Mini-4B-Realtime-2602", "voxtral_realtime")
MINI = _running("mistralai/Voxtral-Mini-3B-2507", "voxtral", *Mode)
SMALL = _running("mistralai/Voxtral-Small-24B-2507", "voxtral", *Mode)


@pytest.mark.parametrize(
    ("name", "running", "meant"),
    [
        (None, [WHISPER], "auto"),
        ("", [WHISPER], "auto"),
        ("Auto", [], "auto"),
        ("whisper-base", [WHISPER], WHISPER.name),
        ("whisper-1", [REALTIME, WHISPER], WHISPER.name),
        ("whisper-1", [MINI, REALTIME], REALTIME.name),
        ("gpt-4o-transcribe", [WHISPER, REALTIME], REALTIME.name),
        ("voxtral-mini-transcribe-realtime-2602", [MINI, REALTIME], REALTIME.name),
        ("Voxtral-Mini-4B-Realtime-2602", [MINI, REALTIME], REALTIME.name),
        ("mistralai/Voxtral-Mini-3B-2507", [MINI, SMALL], MINI.name),
        ("voxtral-mini-latest", [SMALL, REALTIME, MINI], MINI.name),
        ("voxtral-mini-latest", [WHISPER, REALTIME], REALTIME.name),
        ("voxtral-small-latest", [MINI, SMALL], SMALL.name),
    ],
)
def test_resolve_finds_the_running_model(name: str | None, running: list[RunningModel], meant: str) -> None:
    assert resolve(name, running, Mode.TRANSCRIBE) == meant


@pytest.mark.parametrize(
    ("name", "running"),
    [
        ("voxtral-mini-transcribe-realtime-2602", [WHISPER]),
        ("voxtral-small-latest", [MINI]),
        ("mistralai/Voxtral-Mini-4B-Realtime-2602", [MINI]),
        ("no-such-model", [WHISPER]),
    ],
)
def test_resolve_names_what_runs_where_nothing_answers(name: str, running: list[RunningModel]) -> None:
    with pytest.raises(InvalidFieldError, match=f"allowed: auto, {running[0].name}"):
        resolve(name, running, Mode.TRANSCRIBE)


@pytest.mark.parametrize(
    ("name", "needed"),
    [
        ("voxtral-mini-latest", "mistralai/Voxtral-Mini-3B-2507 or mistralai/Voxtral-Mini-4B-Realtime-2602"),
        ("Voxtral-Mini-Transcribe-Realtime-2602", "mistralai/Voxtral-Mini-4B-Realtime-2602"),
        ("voxtral-small-latest", "mistralai/Voxtral-Small-24B-2507"),
    ],
)
def test_resolve_says_what_a_public_name_needs(name: str, needed: str) -> None:
    with pytest.raises(InvalidFieldError, match=f"^model is '{name}'; allowed: auto, {WHISPER.name}; .* {needed}\\.$"):
        resolve(name, [WHISPER], Mode.TRANSCRIBE)


def test_resolve_prefers_a_model_that_serves_the_mode() -> None:
    assert resolve("voxtral-mini-latest", [REALTIME, MINI], Mode.UNDERSTAND) == MINI.name


def test_resolve_says_when_nothing_runs() -> None:
    with pytest.raises(ModelUnavailableError, match="No worker is running"):
        resolve("whisper-1", [], Mode.TRANSCRIBE)
