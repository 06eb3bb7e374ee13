"""`torch.compile` for parts of a model's layers, if the machine can and if it pays.

Compiles a method once for all layers of a kind, never whole passes: those have dozens of shapes, and each would be
compiled for every layer. The first dimension of each tensor (rows, or tokens) is dynamic, so that there are two
versions of a method: one for a single row, as compilers treat size 1 on its own, and one for any other number.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, Final, Literal

import structlog
import torch
from torch import Tensor, nn

from worker.engines.loading.out_of_memory import is_out_of_memory

Setting = Literal["auto", "on", "off"]
"""`model.compile`: `auto` compiles on CUDA, and keeps the result if passes become shorter."""

Parts = Sequence[tuple[Sequence[nn.Module], str]]
"""Modules, and the name of their method that is compiled."""

Run = Callable[[], Tensor]
Record = Callable[[Run], Run]
"""Makes a run that is replayed, as a CUDA graph, from one that is launched from Python."""

MIN_GAIN: Final = 0.02
"""Of the time of a pass. What gains less stays as it is."""
TIMED_RUNS: Final = 8
NOT_COMPILED: Final = "layers not compiled"

log = structlog.get_logger()


def missing_for(device: torch.device) -> str | None:
    """What this machine lacks to compile for a device, or None."""
    if device.type == "cuda":
        compilers = [os.environ["CC"]] if "CC" in os.environ else ["cc", "gcc", "clang"]
        if find_spec("triton") is None:
            return "Triton is not installed"
    else:
        compilers = [os.environ["CXX"]] if "CXX" in os.environ else ["g++", "clang++"]
    if not any(shutil.which(name) for name in compilers):
        return f"no C compiler is installed ({', '.join(compilers)})"
    return None


class Compiler:
    """Binds compiled methods to modules, or leaves them alone. See `choose`."""

    def __init__(self, setting: Setting, device: torch.device, backend: str | Callable[..., Any] = "inductor") -> None:
        self.setting = setting
        self._device = device
        self._backend = backend
        self._compiled: dict[Any, Any] = {}
        self._versions: set[Any] = set()
        """What methods have been compiled for. Anything else runs as it is, so that nothing is compiled later."""
        self._bound: list[tuple[nn.Module, str]] = []
        self._is_preparing = False
        self.description = NOT_COMPILED
        """For people."""

    def choose(self, parts: Parts, run: Callable[[], object], time_s: Callable[[], float]) -> None:
        """Compile `parts`, methods by name of modules, and keep that if it is right to.

        `run` calls each method with one row and with several: its versions are compiled then, and none later. `time_s`
        measures a pass; it is called under `auto` with and without compiled methods. A failure is logged and leaves the
        modules as they were; too little memory is raised.
        """
        if self.setting == "off" or (self.setting == "auto" and self._device.type != "cuda"):
            return
        reason = missing_for(self._device) if self._backend == "inductor" else None
        if reason is not None:
            self._report(reason, is_failure=self.setting == "on")
            return
        log.info("layers_compiling", message="This takes about a minute, and less once its results are on the disk.")
        try:
            self._bind(parts)
            with self._preparing():
                run()
            figures = self._kept_if_faster(parts, time_s) if self.setting == "auto" else ""
        except Exception as error:  # compilers fail in many ways, and passes run without them
            self._unbind()
            if is_out_of_memory(error):
                raise
            self._report(_reason(error), is_failure=True)
            return
        if self._bound:
            self.description = f"layers compiled{figures}"
            log.info("layers_compiled", figures=figures)
        else:
            self._report(f"no gain{figures}", is_failure=False)

    def _kept_if_faster(self, parts: Parts, time_s: Callable[[], float]) -> str:
        compiled_s = time_s()
        self._unbind()
        plain_s = time_s()
        if compiled_s < plain_s * (1 - MIN_GAIN):
            self._bind(parts)
        return f" ({compiled_s * 1000:.2f} ms, {plain_s * 1000:.2f} ms without)"

    def _report(self, reason: str, *, is_failure: bool) -> None:
        self.description = f"{NOT_COMPILED} ({reason})"
        if is_failure:
            log.error(
                "layers_not_compiled",
                reason=reason,
                message="The layers could not be compiled, so they run as they are, and each pass takes longer; set "
                "model.compile to off to accept this.",
            )
        else:
            log.info("layers_not_compiled", reason=reason)

    @contextmanager
    def _preparing(self) -> Iterator[None]:
        """Compile in one thread: the processes that compilers start otherwise would never exit."""
        self._is_preparing = True
        try:
            with torch._inductor.config.patch(compile_threads=1):
                yield
        finally:
            self._is_preparing = False

    def _bind(self, parts: Parts) -> None:
        for modules, name in parts:
            for module in modules:
                setattr(module, name, self._call(module, getattr(type(module), name)))
                self._bound.append((module, name))

    def _unbind(self) -> None:
        for module, name in self._bound:
            delattr(module, name)
        self._bound.clear()

    def _call(self, module: nn.Module, method: Any) -> Callable[..., Any]:
        if method not in self._compiled:
            self._compiled[method] = torch.compile(method, fullgraph=True, backend=self._backend)
        compiled, versions = self._compiled[method], self._versions

        def call(*tensors: Tensor) -> Any:
            version = (method, *((one.shape[0] > 1, one.shape[1:], one.dtype, one.is_contiguous()) for one in tensors))
            if self._is_preparing:
                versions.add(version)
                for one in tensors:
                    if one.shape[0] > 1:
                        torch._dynamo.mark_dynamic(one, 0)
            return compiled(module, *tensors) if version in versions else method(module, *tensors)

        return call


def shortest_s(run: Run, record: Record | None) -> float:
    """The duration of the fastest of several runs, or of their replays if `record` is given."""
    replay = run if record is None else record(run)
    times_s = []
    for _ in range(TIMED_RUNS):
        started_s = time.perf_counter()
        replay().flatten()[0].item()  # waits for the device
        times_s.append(time.perf_counter() - started_s)
    return min(times_s)


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:160].rstrip(".: ")
