"""`make run`: checks the machine, runs every program of the Procfile and prints the URLs when the service is ready.

The model is warm when `/ready` of the health process answers 200. Ctrl-C, SIGTERM and a closed terminal stop everything
within 5 s, and so does any end of the `make` that started it.
"""

import argparse
import asyncio
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TextIO

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until the service starts, Ctrl-C ends this without a word

from redis.exceptions import RedisError

from compose.checks import check_disk, check_ports
from compose.procfile import Program, read_procfile, scaled
from compose.readiness import why_not_ready
from compose.redis import why_not_loaded
from compose.supervisor import Supervisor
from frontend.access.key_source import KeySource
from frontend.access.webhooks import WebhookRules
from frontend.servers.tls import probe_context, server_context
from shared.bus.append_only import rewrite_once
from shared.bus.connect import connect
from shared.config.settings import Settings
from shared.entry import run_process
from shared.gpus import ORDER, VISIBLE, visible_gpus
from shared.ports import authority, listeners, reachable
from shared.process import end_with
from shared.version import VERSION
from shared.webhooks.signing import Signer
from worker.model_files import FILES

POLL_S = 0.2
POLL_TIMEOUT_S = 2.0
REMINDER_S = 10.0
REWRITE_S = 1.0
OPEN_FILES = 65_536
OPEN_WARNING = """
Warning: the service listens on {host} and requires no key: everyone who can reach this machine can use it.
`voxtral keys new` makes a key; docs/access.md describes how to configure it.
"""
CLEAR_WARNING = """
Warning: keys are sent unencrypted to {host}, unless a proxy in front of the service terminates TLS.
server.tls_certificate and server.tls_key enable TLS; see docs/access.md.
"""
PREFIX_COLOURS = (36, 33, 32, 35, 34, 96, 93, 92)
"""ANSI colours, for the programs in turn."""


def main(settings: Settings, procfile: Path, workers: int, parent: int | None) -> int:
    programs = _programs(settings, procfile, workers)
    KeySource(settings.access, WebhookRules(settings).check_key)  # report a bad list once, instead of in each process
    server_context(settings)  # and a bad certificate
    if settings.webhooks.enabled:
        Signer.of(settings.webhooks)
    check_disk(settings.redis.data_dir)
    check_ports(listeners(settings))
    _allow_open_files()
    return asyncio.run(_serve(settings, programs, parent))


def _programs(settings: Settings, procfile: Path, workers: int) -> list[Program]:
    """Those of the Procfile that these settings need."""
    programs = scaled(read_procfile(procfile), "worker", workers, _gpus_of_workers(settings, workers))
    needed = {"redis": settings.redis_is_embedded, "webhooks": settings.webhooks.enabled}
    return [program for program in programs if needed.get(program.name, True)]


def _gpus_of_workers(settings: Settings, workers: int) -> list[dict[str, str]]:
    """Variables that spread several workers over the GPUs; none if a setting chooses the device."""
    if workers == 1 or settings.model.device not in ("auto", "cuda"):
        return []
    gpus = visible_gpus()
    return [dict([ORDER, (VISIBLE, gpu)]) for gpu in gpus] if len(gpus) > 1 else []


async def _serve(settings: Settings, programs: list[Program], parent: int | None) -> int:
    show = _line_printer([program.name for program in programs])
    supervisor = Supervisor(
        programs,
        _environment(),
        show,
        last=("redis",),
        before_last=partial(_erase_from_disk, settings),
        explain=lambda name: why_not_loaded(settings) if name == "redis" else None,
    )
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup ignores SIGHUP
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    if parent is not None:
        end_with(parent, signal.SIGTERM, stop.set)
    running = asyncio.ensure_future(
        asyncio.gather(supervisor.run(), _announce(settings, supervisor), _install_model_files())
    )
    stopping = asyncio.ensure_future(stop.wait())
    waited: list[asyncio.Future[Any]] = [running, stopping]
    try:
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
        _print("Stopping.")
    finally:
        await supervisor.stop()
        for future in waited:
            future.cancel()
        await asyncio.gather(*waited, return_exceptions=True)
    return 0


async def _announce(settings: Settings, supervisor: Supervisor) -> None:
    """Waits for a warm model and open ports, then prints the URLs."""
    started_s = time.monotonic()
    _print(f"Starting Voxtral {VERSION}. The URLs appear when the model is warm; Ctrl-C stops everything.")
    host = reachable(settings.server.host)
    ports = (settings.server.http_port, *settings.server.tcp_ports)
    tls = probe_context(settings)
    reminder_s = started_s + REMINDER_S
    while True:
        reason = await why_not_ready(settings, tls)
        if reason is None and all([await _listens(host, port) for port in ports]):
            break
        if time.monotonic() > reminder_s:
            reminder_s += REMINDER_S
            _print(f"Still starting: {reason or 'not all ports are open'}")
        await asyncio.sleep(POLL_S)
    supervisor.has_been_ready = True
    _print(f"\nReady after {time.monotonic() - started_s:.1f} s.\n{_urls(settings)}\n{_warning(settings)}")


async def _install_model_files() -> None:
    """Install those that only some options need, if they are missing. The service does not wait for them."""
    if all(file.is_installed() for file in FILES):
        return
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "worker.model_files"), stderr=asyncio.subprocess.PIPE
    )
    try:
        _, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode != 0:
        _print(f"Warning: speakers and ends of turns are not available. {errors.decode(errors='replace').strip()}")


async def _erase_from_disk(settings: Settings) -> None:
    """Have the embedded server's file rewritten without deleted keys. If this fails, the next start does it."""
    redis = connect(settings)
    try:
        async with asyncio.timeout(REWRITE_S):
            await rewrite_once(redis)
    except (RedisError, OSError, TimeoutError):
        pass
    finally:
        await redis.aclose()


def _warning(settings: Settings) -> str:
    if settings.is_exposed and not settings.access.needs_key:
        return OPEN_WARNING.format(host=settings.server.host)
    return CLEAR_WARNING.format(host=settings.server.host) if settings.sends_keys_in_clear else ""


def _urls(settings: Settings) -> str:
    at = {listener.what: authority(listener.host, listener.port) for listener in listeners(settings)}
    has_tls = settings.server.tls_certificate is not None
    http, ws, tcp = ("https", "wss", "tls") if has_tls else ("http", "ws", "tcp")
    lines = {
        "page": f"{http}://{at['page']}/",
        "api": f"{http}://{at['page']}/docs",
        "websocket": f"{ws}://{at['websocket']}",
        "tcp": f"{tcp}://{at['tcp']}",
        **({"wyoming": f"tcp://{at['wyoming']}"} if "wyoming" in at else {}),
        "status": f"{http}://{at['health']}/status",
        "flower": f"{http if settings.flower.basic_auth else 'http'}://{at['flower']}/",
    }
    return "\n".join(f"  {name:<10} {url}" for name, url in lines.items())


async def _listens(host: str, port: int) -> bool:
    try:
        async with asyncio.timeout(POLL_TIMEOUT_S):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


def _allow_open_files() -> None:
    """Raise the soft limit, which the programs inherit: the usual 1024 is less than `server.max_connections` needs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _environment() -> dict[str, str]:
    """The programs run with this `python`, write unbuffered lines, and colour them if this process does."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    colour = {"FORCE_COLOR": "1"} if _has_colours() else {}
    return os.environ | {"PATH": path, "PYTHONUNBUFFERED": "1"} | colour


def _line_printer(names: list[str]) -> Callable[[str, str], None]:
    width = max(map(len, names), default=0)
    colours = {name: PREFIX_COLOURS[index % len(PREFIX_COLOURS)] for index, name in enumerate(names)}

    def show(name: str, line: str) -> None:
        prefix = f"{name:<{width}} |"
        _print(f"\x1b[{colours[name]}m{prefix}\x1b[0m {line}" if _has_colours() else f"{prefix} {line}", sys.stderr)

    return show


def _print(text: str, stream: TextIO | None = None) -> None:
    """A write to a closed terminal is ignored: the terminal's SIGHUP stops the service."""
    with suppress(OSError):
        print(text, file=stream, flush=True)


def _has_colours() -> bool:
    return sys.stderr.isatty() and "NO_COLOR" not in os.environ


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m compose.launch", description="Run the whole service.")
    parser.add_argument("--workers", type=int, default=1, choices=range(1, 65), metavar="1..64")
    parser.add_argument("--procfile", type=Path, default=Path("Procfile"))
    parser.add_argument("--parent", type=int, metavar="PID", help="stop when this process, the parent, ends")
    arguments = parser.parse_args()
    started = partial(main, procfile=arguments.procfile, workers=arguments.workers, parent=arguments.parent)
    sys.exit(run_process(started, "launcher"))
