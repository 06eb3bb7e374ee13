"""Which of the running models a session gets, and what is said when none can serve it."""

import pytest

from frontend.sessions.placement import candidates
from frontend.sessions.running_models import RunningModel, running_models
from shared.errors import InvalidFieldError, ModelUnavailableError, ModeUnsupportedError
from shared.protocol import OWN, Protocol
from shared.session_options import Mode, SessionOptions
from tests.unit.reports import report

ALL = tuple(Mode)
REALTIME = "mistralai/Voxtral-Mini-4B-Realtime-2602"
MINI = "mistralai/Voxtral-Mini-3B-2507"


def running(name: str, engine: str, modes: tuple[str, ...] = ALL, languages: tuple[str, ...] = ()) -> RunningModel:
    return RunningModel(name, engine, modes, languages, workers=1, slots=2, slots_free=2)


ECHO = running("echo", "echo")
WHISPER = running("whisper-base", "whisper", (Mode.TRANSCRIBE,), ("de", "en", "uk"))
LIVE = running(REALTIME, "voxtral_realtime", (Mode.TRANSCRIBE,), ("de", "en"))
LARGE = running(MINI, "voxtral", ALL, ("en", "fr"))
EVERYTHING = [ECHO, WHISPER, LIVE, LARGE]


def names(models: list[RunningModel], **options: object) -> list[str]:
    return [model.name for model in candidates(models, SessionOptions(**options))]


@pytest.mark.parametrize("name", [None, "auto", "AUTO"])
def test_auto_prefers_the_engine_that_is_best_at_the_mode(name: str | None) -> None:
    assert names(EVERYTHING, model=name) == [REALTIME, MINI, "whisper-base", "echo"]
    for mode in (Mode.UNDERSTAND, Mode.GENERAL):
        assert names(EVERYTHING, mode=mode, model=name) == [MINI, "echo"]


def test_a_streaming_model_of_unknown_languages_comes_after_whisper_and_before_others() -> None:
    streaming = running("sherpa:english", "sherpa", (Mode.TRANSCRIBE,))
    assert names([ECHO, streaming, WHISPER]) == ["whisper-base", "sherpa:english", "echo"]
    assert names([ECHO, streaming, WHISPER], language="fr") == ["sherpa:english", "echo"]


def test_auto_takes_a_model_that_speaks_the_language() -> None:
    assert names(EVERYTHING, language="de") == [REALTIME, "whisper-base", "echo"]
    assert names(EVERYTHING, language="fr") == [MINI, "echo"]
    assert names([LIVE, LARGE, WHISPER], language="uk") == ["whisper-base"]


def test_auto_takes_the_most_accurate_whisper() -> None:
    tiny, turbo = (
        running(name, "whisper", (Mode.TRANSCRIBE,), ("de", "en"))
        for name in ("whisper-tiny", "whisper-large-v3-turbo")
    )
    own = running("our-whisper", "whisper", (Mode.TRANSCRIBE,), ("de", "en"))
    assert names([own, tiny, WHISPER, turbo]) == [turbo.name, "whisper-base", "whisper-tiny", "our-whisper"]


def test_a_model_of_english_comes_last_where_no_language_is_named() -> None:
    english = running("whisper-medium.en", "whisper", (Mode.TRANSCRIBE,), ("en",))
    assert names([english, WHISPER]) == ["whisper-base", "whisper-medium.en"]
    assert names([english, WHISPER], language="en") == ["whisper-medium.en", "whisper-base"]
    assert names([english, WHISPER], language="uk") == ["whisper-base"]


def test_auto_takes_a_model_that_speaks_one_of_the_languages() -> None:
    assert names(EVERYTHING, languages=("fr", "uk")) == [MINI, "whisper-base", "echo"]
    assert names(EVERYTHING, languages=("de", "fr"), language="de") == [REALTIME, "whisper-base", "echo"]


def test_languages_that_no_model_speaks_are_answered_with_those_that_are_spoken() -> None:
    with pytest.raises(InvalidFieldError) as caught:
        names([LIVE, WHISPER], languages=("fr", "it"))
    assert caught.value.message == "languages is ['fr', 'it']; allowed: de, en, uk."


def test_language_is_one_of_the_languages() -> None:
    with pytest.raises(InvalidFieldError, match="language is 'fr'; allowed: one of languages \\(de, en\\), or null"):
        names(EVERYTHING, language="fr", languages=("de", "en"))


@pytest.mark.parametrize("name", [MINI, MINI.lower(), "Voxtral-Mini-3B-2507", "VOXTRAL-MINI-3B-2507"])
def test_a_model_is_named_in_full_or_by_its_last_part(name: str) -> None:
    assert names(EVERYTHING, model=name) == [MINI]


@pytest.mark.parametrize("name", ["mistralai", "Voxtral", "3B-2507", f"{MINI}/", f"other/{MINI}", "", " echo"])
def test_an_unknown_model_is_answered_with_those_that_run(name: str) -> None:
    with pytest.raises(InvalidFieldError) as caught:
        names(EVERYTHING, model=name)
    assert caught.value.message == f"model is {name!r}; allowed: auto, echo, whisper-base, {REALTIME}, {MINI}."


def test_a_name_that_fits_exactly_means_no_other_model() -> None:
    copies = [running("/models/echo/", "echo"), running("echo", "echo"), running("Echo", "echo")]
    assert names(copies, model="echo") == ["echo"]
    assert names(copies, model="ECHO") == ["/models/echo/", "echo", "Echo"]


def test_a_mode_that_no_running_model_serves_names_those_that_could() -> None:
    for name in (None, "whisper-base"):
        with pytest.raises(ModeUnsupportedError, match=r"running model \(whisper-base, .*needs mistralai/Voxtral-Mini"):
            names([WHISPER, LIVE], mode=Mode.UNDERSTAND, model=name)


def test_a_mode_that_the_named_model_does_not_serve_names_the_running_ones_that_do() -> None:
    with pytest.raises(ModeUnsupportedError) as caught:
        names(EVERYTHING, mode=Mode.GENERAL, model="whisper-base")
    assert caught.value.message == (
        f"mode 'general' is not supported by whisper-base; of the running models, echo, {MINI} can serve it."
    )


def test_a_language_that_no_suitable_model_speaks_is_answered_with_theirs() -> None:
    with pytest.raises(InvalidFieldError, match=r"^language is 'fr'; allowed: de, en\.$"):
        names(EVERYTHING, language="fr", model=REALTIME)
    with pytest.raises(InvalidFieldError, match=r"^language is 'de'; allowed: en, fr\.$"):
        names([WHISPER, LARGE], language="de", mode=Mode.UNDERSTAND)


def test_without_any_model_it_is_said_so() -> None:
    with pytest.raises(ModelUnavailableError, match="No worker is running"):
        names([], model="echo")


def test_slots_are_counted_for_each_model() -> None:
    reports = [report("echo:b", 0), report("echo", 1), report("echo", 3), report("echo:c", 0, draining=True)]
    assert [model.to_wire() for model in running_models(reports)] == [
        {"model": "echo", "engine": "echo", "modes": ["transcribe"], "workers": 2, "slots": 4, "slots_free": 1},
        {"model": "echo:b", "engine": "echo", "modes": ["transcribe"], "workers": 1, "slots": 2, "slots_free": 2},
    ]


def test_channels_need_a_worker_of_a_version_that_separates_them() -> None:
    old = running_models([report("old", 0, slots=8, protocol=Protocol(2, 1))])
    with pytest.raises(ModelUnavailableError, match="No running worker can separate channels"):
        candidates(old, SessionOptions(channels=2))
    new = running_models([report("new", 0, slots=8, protocol=OWN)])
    assert names(old + new, channels=2) == ["new"]
    assert sorted(names(old + new)) == ["new", "old"]


def test_channels_need_a_worker_with_a_slot_for_each() -> None:
    models = running_models([report("echo", 0, slots=3, protocol=OWN), report("echo", 0, slots=2, protocol=OWN)])
    assert names(models, channels=3) == ["echo"]
    with pytest.raises(InvalidFieldError, match=r"channels is 4; allowed: 1 to 3 .*one slot for each channel"):
        candidates(models, SessionOptions(channels=4))


def test_slots_in_use_count_the_channels() -> None:
    overloaded = report("echo", 1, slots=4, slots_used=2, overloaded=True)
    workers = [report("echo", 1, slots=4, slots_used=3), report("echo", 2, slots=4), overloaded]
    (model,) = running_models(workers)
    assert (model.slots_free, model.capacity) == (1 + 2, 4 + 4 + 2)
