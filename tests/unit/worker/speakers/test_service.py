"""The thread that tells speakers apart: what fails for one session does not concern the others."""

import queue
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.events import SAMPLE_RATE_HZ
from tests.unit.worker.speakers.voices import tone
from worker.speakers.clusters import GE2E
from worker.speakers.encoders import Encoder
from worker.speakers.model import SpeakerModel
from worker.speakers.reports import (
    Embed,
    Embedding,
    Follow,
    Hear,
    Label,
    Labelled,
    Ready,
    Report,
    Stopped,
    Warned,
)
from worker.speakers.service import SpeakerService

Floats = NDArray[np.float32]
DAMAGED = b"no JSON"


class Reported(SpeakerService):
    def __init__(self) -> None:
        self._reports: queue.Queue[tuple[str, Report]] = queue.Queue()
        super().__init__(None, None, lambda name, report: self._reports.put((name, report)))

    def next(self) -> tuple[str, Report]:
        return self._reports.get(timeout=60)

    def until(self, name: str, kind: type[Report]) -> list[tuple[str, type[Report]]]:
        """The kinds of all reports up to one."""
        found: list[tuple[str, type[Report]]] = []
        while not found or found[-1] != (name, kind):
            handle, report = self.next()
            found.append((handle, type(report)))
        return found


@pytest.fixture
def service() -> Iterator[Reported]:
    service = Reported()
    yield service
    service.stop(60)


def follow(handle: str, state: bytes | None = None) -> Follow:
    return Follow(handle, 8, 0, (), {}, state)


def test_session_whose_command_fails_is_refused_and_the_others_continue(service: Reported) -> None:
    service.post(follow("a"))
    assert service.next()[0] == "a"
    for command in (follow("b", DAMAGED), Embed("request", b"odd"), Hear("a", tone(2.0)), Label("a", 0, 0, 32_000)):
        service.post(command)
    assert service.until("a", Labelled)[:3] == [("b", Warned), ("b", Stopped), ("request", Embedding)]
    service.post(Label("b", 0, 0, 32_000))
    assert service.until("b", Stopped)[-1] == ("b", Stopped)


def not_loud(pcm: Floats) -> Floats:
    """Embeddings of a network that cannot embed loud windows."""
    if np.abs(pcm).max() > 1.5:
        raise ValueError("loud")
    return np.ones((len(pcm), 4), np.float32)


def test_sessions_whose_windows_cannot_be_embedded_are_refused(service: Reported) -> None:
    service._model = SpeakerModel(None, None)
    service._model.encoder = Encoder("quiet", GE2E, GE2E, not_loud)
    speech = tone(3.0)
    for handle in ("a", "b"):
        service.post(follow(handle))
        assert service.until(handle, Ready)
    together = [Hear("a", speech * np.float32(20)), Hear("b", speech), Label("b", 0, 0, 2 * SAMPLE_RATE_HZ)]
    service._inbox.extend(together[:-1])
    service.post(together[-1])
    assert ("a", Warned) in service.until("b", Labelled)
