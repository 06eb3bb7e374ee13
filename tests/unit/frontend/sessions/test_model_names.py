"""Public names of models, and the running model that each of them means."""

from typing import Any, Literal, get_args, get_origin

import pytest
from openai.types import AudioModel, ChatModel
from openai.types.realtime import AudioTranscription, RealtimeSessionCreateRequest

from frontend.sessions.model_names import check_live, resolve
from frontend.sessions.running_models import RunningModel
from shared.errors import InvalidFieldError, ModelUnavailableError
from shared.session_options import Mode


def _running(name: str, engine: str, *modes: Mode) -> RunningModel:
    return RunningModel(name, engine, modes or (Mode.TRANSCRIBE,), (), workers=1, slots=8, slots_free=8)


WHISPER = _running("whisper-base", "whisper")
TINY = _running("whisper-tiny.en", "whisper")
TURBO = _running("whisper-large-v3-turbo", "whisper")
REALTIME = _running("mistralai/Voxtral-Mini-4B-Realtime-2602", "voxtral_realtime")
MINI = _running("mistralai/Voxtral-Mini-3B-2507", "voxtral", *Mode)
ECHO = _running("echo", "echo", *Mode)
SMALL = _running("mistralai/Voxtral-Small-24B-2507", "voxtral", *Mode)


def _names_in(annotation: Any) -> set[str]:
    """All names in the literals of a type of the SDK's."""
    if get_origin(annotation) is Literal:
        return set(get_args(annotation))
    return {name for part in get_args(annotation) for name in _names_in(part)}


TRANSCRIBING = sorted(_names_in(AudioModel) | _names_in(AudioTranscription.model_fields["model"].annotation))
CONVERSING = _names_in(ChatModel) | _names_in(RealtimeSessionCreateRequest.model_fields["model"].annotation)
UNDERSTANDING = sorted(name for name in CONVERSING if "audio" in name)


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
        ("GPT-4o-audio-preview", [WHISPER, REALTIME, SMALL], SMALL.name),
        ("whisper-1", [TINY, WHISPER, TURBO], TURBO.name),
        ("Whisper-Turbo", [TINY, WHISPER, TURBO], TURBO.name),
        ("whisper-tiny.en", [TINY, WHISPER], TINY.name),
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
        ("gpt-4o", [WHISPER]),
        ("gpt-4o-mini-tts", [WHISPER]),
        ("gpt-realtime", [WHISPER]),
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
        ("gpt-audio-mini", "mistralai/Voxtral-Mini-3B-2507 or mistralai/Voxtral-Small-24B-2507"),
    ],
)
def test_resolve_says_what_a_public_name_needs(name: str, needed: str) -> None:
    with pytest.raises(InvalidFieldError, match=f"^model is '{name}'; allowed: auto, {WHISPER.name}; .* {needed}\\.$"):
        resolve(name, [WHISPER], Mode.TRANSCRIBE)


@pytest.mark.parametrize("name", TRANSCRIBING)
def test_transcription_names_of_the_openai_sdk_mean_the_best_model_that_runs(name: str) -> None:
    best = WHISPER if name == "whisper-1" else REALTIME
    assert resolve(name, [MINI, REALTIME, WHISPER], Mode.TRANSCRIBE) == best.name
    assert resolve(name, [WHISPER], Mode.TRANSCRIBE) == WHISPER.name
    with pytest.raises(InvalidFieldError, match=r"; this name needs mistralai/.* or whisper-base\.$"):
        resolve(name, [ECHO], Mode.TRANSCRIBE)


@pytest.mark.parametrize("name", UNDERSTANDING)
def test_audio_chat_names_of_the_openai_sdk_mean_a_model_that_understands(name: str) -> None:
    assert resolve(name, [REALTIME, MINI, WHISPER], Mode.UNDERSTAND) == MINI.name
    with pytest.raises(InvalidFieldError, match=r"; this name needs mistralai/Voxtral-Mini-3B-2507 or "):
        resolve(name, [REALTIME, WHISPER], Mode.UNDERSTAND)


def test_the_lists_of_the_openai_sdk_are_found() -> None:
    assert {"whisper-1", "gpt-4o-transcribe-diarize", "gpt-realtime-whisper"} <= set(TRANSCRIBING)
    assert {"gpt-4o-audio-preview", "gpt-audio-mini"} <= set(UNDERSTANDING)


@pytest.mark.parametrize("name", ["gpt-4o-transcribe-diarize", "gpt-4o-transcribe-diarize-2025-10-15"])
def test_a_name_that_asks_for_speakers_means_a_model_that_transcribes(name: str) -> None:
    assert resolve(name, [WHISPER], Mode.TRANSCRIBE) == WHISPER.name
    own = _running(name, "another")
    assert resolve(name, [WHISPER, own], Mode.TRANSCRIBE) == name


@pytest.mark.parametrize("name", ["whisper-large-v3", "whisper-turbo", "whisper-1"])
def test_a_live_session_may_be_prepared_for_any_whisper(name: str) -> None:
    check_live(name, [])
    with pytest.raises(InvalidFieldError):
        check_live("whisper-enormous", [])


def test_resolve_prefers_a_model_that_serves_the_mode() -> None:
    assert resolve("voxtral-mini-latest", [REALTIME, MINI], Mode.UNDERSTAND) == MINI.name


def test_resolve_says_when_nothing_runs() -> None:
    with pytest.raises(ModelUnavailableError, match="No worker is running"):
        resolve("whisper-1", [], Mode.TRANSCRIBE)
