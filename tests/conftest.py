"""Services that tests share. Starting one takes seconds, so each lives as long as the test run."""

from collections.abc import Iterator

import pytest

from shared.config import load_settings
from tests.stack import Stack


@pytest.fixture(autouse=True)
def _fresh_settings() -> Iterator[None]:
    """Settings are read once in a process; here every test reads its own."""
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A whole service with the echo engine, which answers at once."""
    yield from _running(Stack(tmp_path_factory.mktemp("echo")))


@pytest.fixture(scope="session")
def whisper_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A whole service with the embedded Whisper engine."""
    folder = tmp_path_factory.mktemp("whisper")
    yield from _running(Stack(folder, model={"name": "whisper-base", "slots": 8}))


def _running(service: Stack) -> Iterator[Stack]:
    try:
        service.start()
        yield service
    finally:
        service.stop_all()
