"""Keeps programs running: starts them, shows their output line by line, restarts those that end, stops all in order.

Each program leads its own session: Ctrl-C in the terminal reaches only the launcher, which stops the
programs itself. The kernel kills a program whose launcher has ended. Knows nothing about what the programs do.
"""

import asyncio
import os
import signal
import time
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import Awaitable, Callable, Collection, Mapping

import structlog

from compose.procfile import Program
from shared.entry import CANNOT_START
from shared.errors import StartupError
from shared.process import end_with, how_ended

STEADY_S = 10.0
"""A program that ran this long is restarted as if it had never failed."""
FIRST_DELAY_S = 0.25
LONGEST_DELAY_S = 15.0
FAILURES_AT_START = 5
"""So many failures in a row abort the start of the service; once it has been ready, there is no limit."""
HANDOVER_S = 1.0
"""Time for workers to hand their sessions over to workers elsewhere. A second request makes them end at once."""
STOP_DEADLINE_S = 2.0
LAST_STOP_DEADLINE_S = 1.0
LINE_LIMIT_BYTES = 64 * 1024

log = structlog.get_logger(__name__)


class Supervisor:
    """`show(program, line)` is called with every whole line of every program.

    Programs named in `last` are stopped after the others, which need them to end cleanly. `before_last` is
    awaited in between, if any of them runs.
    `explain(program)` may return one sentence that says why a failed program cannot run; it is called in a thread.
    """

    def __init__(
        self,
        programs: list[Program],
        environment: Mapping[str, str],
        show: Callable[[str, str], None],
        *,
        last: Collection[str] = (),
        before_last: Callable[[], Awaitable[None]] | None = None,
        explain: Callable[[str], str | None] = lambda _: None,
    ) -> None:
        self._programs = programs
        self._environment = environment
        self._show = show
        self._last = last
        self._before_last = before_last
        self._explain = explain
        self._running: dict[str, Process] = {}
        self._stopping = asyncio.Event()
        self._last_lines: dict[str, str] = {}
        self.has_been_ready = False
        """Set by the owner: from then on no failure of a program ends the service."""

    async def run(self) -> None:
        """Returns after `stop`. Raises `StartupError` if a program cannot start before the service has been ready.

        If cancelled, it leaves the programs running; `stop` ends them.
        """
        keepers = [asyncio.create_task(self._keep(program), name=program.name) for program in self._programs]
        try:
            await asyncio.gather(*keepers)
        finally:
            for keeper in keepers:
                keeper.cancel()

    async def stop(self) -> None:
        """Ask every program to end, and kill those that do not end in time. No process is left."""
        self._stopping.set()
        await self._end([name for name in self._running if name not in self._last], HANDOVER_S, STOP_DEADLINE_S)
        if self._running and self._before_last is not None:
            await self._before_last()
        await self._end(list(self._running), LAST_STOP_DEADLINE_S)

    async def _keep(self, program: Program) -> None:
        failures = 0
        while not self._stopping.is_set():
            started_s = time.monotonic()
            status = await self._run_once(program)
            if self._stopping.is_set():
                return
            failures = 1 if time.monotonic() - started_s >= STEADY_S else failures + 1
            await self._explain_failure(program, status)
            if not self.has_been_ready:
                self._check_start(program, status, failures)
            delay_s = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2 ** min(failures - 1, 16))
            log.warning("process_ended", program=program.name, how=how_ended(status), restart_in_s=delay_s)
            try:
                await asyncio.wait_for(self._stopping.wait(), delay_s)
            except TimeoutError:
                continue

    async def _explain_failure(self, program: Program, status: int) -> None:
        if status <= 0 or status == CANNOT_START:  # a signal, as of a kernel without memory, needs no explanation
            return
        sentence = await asyncio.to_thread(self._explain, program.name)
        if sentence and not self.has_been_ready:
            raise StartupError(sentence)
        self._show_line(program.name, (sentence or "").encode())

    def _check_start(self, program: Program, status: int, failures: int) -> None:
        if status == CANNOT_START:
            raise StartupError(self._last_lines.get(program.name) or f"{program.name} cannot start.")
        if failures >= FAILURES_AT_START:
            raise StartupError(f"{program.name} failed {failures} times at start ({how_ended(status)}); see above.")

    async def _run_once(self, program: Program) -> int:
        launcher = os.getpid()
        try:
            process = await asyncio.create_subprocess_exec(
                *program.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=PIPE,
                stderr=STDOUT,
                env={**self._environment, **dict(program.environment)},
                start_new_session=True,
                preexec_fn=lambda: end_with(launcher),  # before the program runs
            )
        except OSError as error:
            self._show_line(program.name, f"{program.command[0]} cannot be run: {error.strerror}.".encode())
            return CANNOT_START
        self._running[program.name] = process
        if self._stopping.is_set():
            _signal_group(process, signal.SIGKILL)
        lines = asyncio.create_task(self._show_lines(program.name, process), name=f"{program.name} lines")
        try:
            status = await process.wait()
            self._running.pop(program.name, None)
            # A grandchild may keep the pipe open, so the wait for the lines is bounded.
            await asyncio.wait([lines], timeout=0.5)
            return status
        finally:
            lines.cancel()

    async def _show_lines(self, name: str, process: Process) -> None:
        assert process.stdout is not None
        rest = b""
        while received := await process.stdout.read(LINE_LIMIT_BYTES):
            *lines, rest = (rest + received).split(b"\n")
            if len(rest) >= LINE_LIMIT_BYTES:
                lines, rest = [*lines, rest], b""
            for line in lines:
                self._show_line(name, line)
        self._show_line(name, rest)

    def _show_line(self, name: str, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip()
        if text:
            self._last_lines[name] = text
            self._show(name, text)

    async def _end(self, names: list[str], *patience_s: float) -> None:
        """Send SIGTERM once for each time in `patience_s` and wait that long after each, then kill."""
        processes = [self._running[name] for name in names]
        ends = [asyncio.create_task(process.wait()) for process in processes]
        for wait_s in patience_s if ends else ():
            for process in processes:
                _signal_group(process, signal.SIGTERM)
            await asyncio.wait(ends, timeout=wait_s)
        for process in processes:
            _signal_group(process, signal.SIGKILL)
        await asyncio.gather(*ends)
        for name in names:
            self._running.pop(name, None)


def _signal_group(process: Process, number: signal.Signals) -> None:
    """Signal the leader; kill the whole group, so that nothing that it started survives."""
    try:
        if number == signal.SIGKILL:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
    except ProcessLookupError:
        pass
