"""A service with a Whisper of the operator's own: what it shows of the model is what runs."""

from collections.abc import Iterator

import pytest

from tests.command import run
from tests.integration.api_clients import openai_of
from tests.stack import Stack, serving
from tests.tiny.whisper import ENGLISH, write_whisper

REASON = "model.name is auto, so the Whisper in model.path runs on the CPU."


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("service")
    path = write_whisper(folder / "our-whisper", ENGLISH)
    model = {"name": "auto", "path": str(path), "device": "cpu", "compute_type": "float32", "slots": 2}
    with serving(Stack(folder, model=model)) as stack:
        yield stack


def test_status_shows_the_model_its_precision_and_why_it_was_chosen(service: Stack) -> None:
    worker = service.report()
    shown = {name: worker[name] for name in ("model", "engine", "device", "compute_type", "model_reason", "languages")}
    assert shown == {
        "model": "our-whisper",
        "engine": "whisper",
        "device": "cpu",
        "compute_type": "float32",
        "model_reason": REASON,
        "languages": ["en"],
    }
    done = run(service, "status")
    assert "our-whisper on cpu" in done.stdout
    assert REASON in done.stdout


def test_doctor_says_the_same(service: Stack) -> None:
    done = run(service, "doctor")
    assert "our-whisper on cpu (float32), 2 slots" in done.stdout
    assert REASON.rstrip(".") in done.stdout


def test_doctor_loads_no_second_model_by_the_name_whisper(service: Stack) -> None:
    assert (
        "our-whisper on cpu (float32), 2 slots, runs on "
        in run(service, "doctor", VOXTRAL_MODEL__NAME="whisper").stdout
    )


def test_public_names_mean_the_model_that_runs(service: Stack) -> None:
    with openai_of(service) as client:
        assert [model.id for model in client.models.list().data] == ["our-whisper"]
        for name in ("whisper-1", "gpt-4o-transcribe", "Our-Whisper", "auto"):
            assert client.models.retrieve(name).id == "our-whisper"
