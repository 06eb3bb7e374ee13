"""Whole services whose workers run on the device, and what their workers report while they are loaded."""

import asyncio
import contextlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.stack import COMMANDS, PROJECT, Stack, listens, wait_until
from worker.engines.voxtral_realtime.calibration import FRAME_MS

START_S: Final = 900.0
"""Reading 9 GB from a slow disk and recording all passes."""


@contextmanager
def running(model: dict[str, Any]) -> Iterator[Stack]:
    """A service that is ready. `model`: the settings of its worker; `slots` unset takes what fits."""
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder), model={"slots": None} | model)
        try:
            for name in COMMANDS:
                # A process that was forked from one with torch's libraries may not be able to use CUDA.
                is_own = name == "worker" and model["device"] != "cpu"
                stack.spawn(name, **({"PYTHONPATH": str(PROJECT)} if is_own else {}))
                if name == "redis":
                    wait_until(lambda: listens(stack.settings.redis.port), "Redis listens")
            wait_until(stack.is_ready, "the worker is warm", START_S, stack.check_alive, pause_s=0.2)
            wait_until(lambda: listens(stack.settings.websocket_port), "the WebSocket server listens")
            yield stack
        finally:
            stack.stop_all()


@dataclass
class Watch:
    """A worker's heartbeats while its service is loaded."""

    stack: Stack
    beats: list[dict[str, Any]] = field(default_factory=list)

    async def follow(self) -> None:
        """Until it is cancelled."""
        while True:
            with contextlib.suppress(OSError):  # a busy service answers late; the next beat is as good
                self.beats += (await asyncio.to_thread(self.stack.status))["workers"]
            await asyncio.sleep(0.5)

    def figures(self) -> dict[str, Any]:
        """Times of passes in ms, of the last few hundred; None if none has given text. Lag is the largest."""
        if not self.beats:
            return {}
        busiest = max(self.beats, key=lambda beat: beat["sessions"])
        loaded = [beat for beat in self.beats if beat["sessions"] >= 0.9 * busiest["sessions"] > 0]
        means = [beat["real_time_factor"] * FRAME_MS * beat["sessions"] for beat in loaded]
        step = loaded[-1]["step"] if loaded else {"p50": 0.0, "p99": 0.0}
        memory = [beat["gpu_memory_used_bytes"] for beat in self.beats if beat["gpu_memory_used_bytes"]]
        return {
            "passes": busiest["passes"],
            "slots": busiest["slots"],
            "pass p50 ms": step["p50"] or None,
            "pass p99 ms": step["p99"] or None,
            "pass mean ms": round(max(means), 1) if means else None,
            "lag ms": max(beat["lag_ms"] for beat in self.beats),
            "memory GB": round(max(memory) / 1e9, 1) if memory else None,
        }
