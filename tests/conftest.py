"""Services that tests share. Starting one takes seconds, so several files use the same (`tests.keeping`)."""

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from shared.config.sections import KEYLESS, ForeignProtocol
from shared.config.settings import load_settings
from tests.certificates import Certificate
from tests.keeping import Services
from tests.keys import KeyList
from tests.limits import limit_s
from tests.stack import Stack, serving
from tests.telephony import TELNYX_STREAM_TOKEN, TWILIO_AUTH_TOKEN

# Read when Triton is imported: its kernels then run on a CPU.
os.environ.setdefault("TRITON_INTERPRET", "1")

# Without bytecode every process compiles its imports, which takes longer than most tests.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

UNIT = Path(__file__).with_name("unit")

# The duration of an example depends on the load of the machine, not on the tested code.
BUSY = hypothesis.settings(deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.register_profile("busy", BUSY, max_examples=40)
hypothesis.settings.register_profile("thorough", BUSY, max_examples=1000)  # --hypothesis-profile=thorough
hypothesis.settings.load_profile("busy")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Of several processes; see `tests.scheduling`."""
    from tests.scheduling import LongestFirst

    return LongestFirst(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config, specs: list[Any]) -> None:
    """The processes of pytest-xdist share one import of what is large, and of the tests; see `tests.preloaded`."""
    from tests.preloaded import Preloaded

    preloaded = Preloaded(config.args)
    config.add_cleanup(preloaded.close)
    for spec in specs:
        if spec.popen:
            spec.python = preloaded.python


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Allow a test more time on a slow or busy machine, and a second run if it has processes, which a busy machine
    may delay at any point. The summary lists tests that were run again: each has a fault, or the product has.
    """
    limit = pytest.mark.timeout(limit_s(float(config.getini("timeout"))))
    for item in items:
        if not item.path.is_relative_to(UNIT):
            item.add_marker(pytest.mark.flaky(reruns=1))
        if item.get_closest_marker("timeout") is None:
            item.add_marker(limit)


def pytest_collection() -> None:
    """The modules and the tests stay until the end of the run, so no collection of garbage needs to look at them."""
    gc.disable()


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()
    gc.enable()
    gc.set_threshold(10_000)  # at the usual 700 it takes 6 % of the time of tests


@pytest.fixture(autouse=True)
def _fresh_settings() -> Iterator[None]:
    """Settings are read once per process; here every test reads its own."""
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()


@pytest.fixture
def one_thread() -> Iterator[None]:
    """PyTorch computes in one thread: small tensors are faster so, and other tests want a core too."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


EVERY_PROTOCOL: dict[str, dict[str, Any]] = {
    "server": {"protocols": list(map(str, ForeignProtocol))},
    "telephony": {"twilio_auth_token": TWILIO_AUTH_TOKEN, "telnyx_stream_token": TELNYX_STREAM_TOKEN},
}


@pytest.fixture(scope="session")
def kept_services() -> Iterator[Services]:
    """What runs for the fixtures below, whose settings are the same for all files of tests."""
    services = Services()
    yield services
    services.stop_all()


@pytest.fixture(autouse=True)
def _stop_unused_services(kept_services: Services) -> None:
    kept_services.stop_unused()


@pytest.fixture(scope="module")
def stack(kept_services: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A whole service with the echo engine, which answers at once."""
    with kept_services.lent(
        "echo", lambda: serving(Stack(tmp_path_factory.mktemp("echo"), **EVERY_PROTOCOL))
    ) as service:
        yield service


@pytest.fixture(scope="module")
def whisper_stack(kept_services: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A whole service with the embedded Whisper engine."""
    model = {"name": "whisper-base", "slots": 8, "threads": 1}
    with kept_services.lent(
        "whisper", lambda: serving(Stack(tmp_path_factory.mktemp("whisper"), model=model))
    ) as service:
        yield service


@pytest.fixture(scope="session")
def key_list(tmp_path_factory: pytest.TempPathFactory) -> KeyList:
    """The keys of `keyed_stack`. Tests add their own before the stack starts, and may change the list later."""
    keys = KeyList(tmp_path_factory.mktemp("keys") / "keys.yaml")
    keys.add("anna")
    keys.add("late", expires="2020-01-01")
    keys.add_for_runs("single", sessions=1)
    keys.add_for_runs("dying", sessions=1)
    keys.add_for_runs("resuming", sessions=1)
    keys.add_for_runs("asking", requests_per_minute=3)
    keys.add_for_runs("listening", audio_s_per_minute=60)
    keys.add_for_runs("long", audio_s_per_minute=60)
    keys.add("small", upload_bytes=20_000)
    keys.add_for_runs("leaving")
    keys.add_for_runs("erasing", requests_per_minute=2)
    for protocol in KEYLESS:
        keys.add(protocol, sessions=1)
    keys.add("telnyx", sessions=1, requests_per_minute=10)
    keys.add("operating", operator="true")
    keys.write()
    return keys


@pytest.fixture(scope="module")
def keyed_stack(
    kept_services: Services, key_list: KeyList, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """A service with the echo engine that requires keys."""
    access = {
        "keys_file": str(key_list.path),
        "origins": ["https://voice.example"],
        "protocol_keys": {str(protocol): str(protocol) for protocol in KEYLESS},
    }

    def start() -> AbstractContextManager[Stack]:
        return serving(Stack(tmp_path_factory.mktemp("keyed"), access=access, **EVERY_PROTOCOL))

    with kept_services.lent("keyed", start) as service:
        yield service


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """The certificate of `tls_stack`."""
    return Certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def tls_stack(
    kept_services: Services, certificate: Certificate, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """A service with the echo engine whose ports use TLS."""
    server = certificate.settings
    with kept_services.lent("tls", lambda: serving(Stack(tmp_path_factory.mktemp("tls"), server=server))) as service:
        yield service
