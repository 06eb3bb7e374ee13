"""When parts of layers are compiled, when they stay as they are, and what people are told."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from structlog.testing import capture_logs
from torch import Tensor, nn

from worker.engines import compiling
from worker.engines.compiling import Compiler, missing_for

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


class Doubling(nn.Module):
    def double(self, given: Tensor) -> Tensor:
        return given * 2

    def double_with_a_break(self, given: Tensor) -> Tensor:
        return given * 2 if given.sum().item() > 0 else given + given


@pytest.fixture(autouse=True)
def fresh_compiler() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


class Chosen:
    """A compiler that has chosen, for three modules of a kind, and the graphs that it made."""

    def __init__(
        self,
        setting: Any,
        device: torch.device,
        *,
        compiled_s: float = 1.0,
        plain_s: float = 1.0,
        method: str = "double",
        backend: Callable[..., Any] | str | None = None,
    ) -> None:
        self.graphs = 0
        self.modules = [Doubling() for _ in range(3)]
        self.compiler = Compiler(setting, device, backend or self._made)

        def run() -> None:
            for module in self.modules:
                for rows in (1, 2):
                    getattr(module, method)(torch.ones(rows, 4))

        with capture_logs() as self.logs:
            self.compiler.choose([(self.modules, method)], run, lambda: compiled_s if self.is_compiled else plain_s)

    def _made(self, graph: Any, _inputs: Any) -> Any:
        self.graphs += 1
        return graph

    @property
    def is_compiled(self) -> bool:
        return "double" in vars(self.modules[0])


def test_modules_of_a_kind_share_two_versions() -> None:
    chosen = Chosen("on", CPU)
    assert (chosen.is_compiled, chosen.compiler.description) == (True, "layers compiled")
    for rows in (1, 2, 3, 7, 500):
        for module in chosen.modules:
            assert module.double(torch.ones(rows, 4)).tolist() == [[2.0] * 4] * rows
    assert chosen.graphs == 2


@pytest.mark.parametrize(
    "given", [torch.ones(3, 5), torch.ones(3, 4).double(), torch.ones(4, 3).T, torch.ones(3, 2, 4)]
)
def test_nothing_is_compiled_once_sessions_are_served(given: Tensor) -> None:
    """What no version fits runs as it is."""
    chosen = Chosen("on", CPU)
    assert torch.equal(chosen.modules[0].double(given), given * 2)
    assert chosen.graphs == 2


@pytest.mark.parametrize(("setting", "device"), [("off", CPU), ("off", CUDA), ("auto", CPU)])
def test_nothing_is_compiled_without_need(setting: str, device: torch.device) -> None:
    chosen = Chosen(setting, device)
    assert (chosen.graphs, chosen.is_compiled, chosen.logs) == (0, False, [])
    assert chosen.compiler.description == "layers not compiled"


def test_auto_keeps_what_is_faster() -> None:
    chosen = Chosen("auto", CUDA, compiled_s=0.008, plain_s=0.010)
    assert chosen.is_compiled
    assert chosen.compiler.description == "layers compiled (8.00 ms, 10.00 ms without)"


def test_auto_discards_what_is_not_faster() -> None:
    chosen = Chosen("auto", CUDA, compiled_s=0.0099, plain_s=0.010)
    assert not chosen.is_compiled
    assert chosen.compiler.description == "layers not compiled (no gain (9.90 ms, 10.00 ms without))"
    assert [(log["event"], log["log_level"]) for log in chosen.logs[1:]] == [("layers_not_compiled", "info")]


def broken(_graph: Any, _inputs: Any) -> Any:
    raise RuntimeError("no such\ninstruction")


@pytest.mark.parametrize(
    ("options", "reason"), [({"method": "double_with_a_break"}, "data-dependent"), ({"backend": broken}, "no such")]
)
def test_failure_is_logged_and_changes_nothing(options: dict[str, Any], reason: str) -> None:
    """A method that is no whole graph counts as a failure."""
    chosen = Chosen("auto", CUDA, **options)
    assert not any(vars(module).keys() & {"double", "double_with_a_break"} for module in chosen.modules)
    assert reason in chosen.compiler.description
    log = chosen.logs[-1]
    assert (log["event"], log["log_level"]) == ("layers_not_compiled", "error")
    assert "set model.compile to off" in log["message"]
    assert chosen.modules[0].double(torch.ones(2)).tolist() == [2.0, 2.0]


def test_too_little_memory_is_raised() -> None:
    def full(_graph: Any, _inputs: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    with pytest.raises(Exception, match="out of memory"):
        Chosen("on", CPU, backend=full)


@pytest.mark.parametrize(("setting", "level"), [("on", "error"), ("auto", "info")])
def test_machine_without_a_c_compiler_runs_without(setting: str, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(compiling, "find_spec", lambda _name: object())
    chosen = Chosen(setting, CUDA, backend="inductor")
    assert chosen.compiler.description == "layers not compiled (no C compiler is installed (cc, gcc, clang))"
    assert [log["log_level"] for log in chosen.logs] == [level]


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "/nowhere/c++")
    assert missing_for(CPU) == "no C compiler is installed (/nowhere/c++)"
    monkeypatch.setattr(compiling, "find_spec", lambda _name: None)
    assert missing_for(CUDA) == "Triton is not installed"
