"""Checks of the machine: Python, GPU, disk, log folder, and the model, which a separate process loads."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from frontend.cli.address import own_health_url
from frontend.cli.checks.check import Check, State, absent, broken, ok, warning
from frontend.cli.http_get import HttpError, get_json
from frontend.servers.tls import probe_context
from shared.config.settings import Settings
from shared.logs import log_path
from shared.torch_build import installed_torch
from shared.whisper_models import shown_name

MIN_PYTHON = (3, 11)
MIN_FREE_BYTES = 1024**3
GPU_TIMEOUT_S = 20
MODEL_TIMEOUT_S = 600
"""A large model on a slow disk loads in minutes."""


def check_python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < MIN_PYTHON:
        return broken("Python", f"{version} is too old", "Install Python 3.11 or newer, then `make run` again.")
    return ok("Python", version)


def check_gpu(settings: Settings) -> Check:
    needed = settings.model.device.startswith("cuda")
    absence = broken if needed else absent
    advice = "Install NVIDIA's driver, or set model.device to auto." if needed else ""
    if shutil.which("nvidia-smi") is None:
        return absence("GPU", "no NVIDIA driver; the CPU is used" if not needed else "no NVIDIA driver", advice)
    query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=GPU_TIMEOUT_S, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        return broken("GPU", f"nvidia-smi does not answer within {GPU_TIMEOUT_S} s", "Restart the machine's driver.")
    if answer.returncode != 0 or not answer.stdout.strip():
        reason = (answer.stderr or answer.stdout).strip().partition("\n")[0] or f"status {answer.returncode}"
        return absence("GPU", f"nvidia-smi fails: {reason}", advice)
    gpus = [line.strip() for line in answer.stdout.splitlines()]
    torch, driver = installed_torch(), gpus[0].rpartition(",")[2].strip()
    if torch is not None and (obstacle := torch.obstacle(driver)):
        fault = broken if needed or settings.model.name != "auto" else warning
        problem, _, advice = obstacle.partition("; ")
        return fault("GPU", f"{'; '.join(gpus)}; torch {torch.version} {problem}", f"{advice[0].upper()}{advice[1:]}.")
    return ok("GPU", "; ".join([*gpus, *([f"torch {torch.version} for CUDA {torch.cuda}"] if torch else [])]))


def check_disk(settings: Settings) -> Check:
    """Free space for the files of the service: the embedded server's file and the log."""
    places = [_existing(Path.cwd())]
    if settings.redis_is_embedded:
        places.append(_existing(settings.redis.data_dir))
    if settings.logs.dir is not None:
        places.append(_existing(settings.logs.dir))
    free_bytes, place = min((shutil.disk_usage(place).free, place) for place in places)
    detail = f"{free_bytes / 1024**3:.1f} GiB free at {place}"
    if free_bytes < MIN_FREE_BYTES:
        return broken("Disk", detail, "Free at least 1 GiB, or set redis.data_dir and logs.dir to another disk.")
    return ok("Disk", detail)


def check_log(settings: Settings) -> Check:
    """Whether the log can be written. Creates nothing: the service may run as another user."""
    path = log_path(settings.logs)
    nearest = _existing(path)
    if os.access(nearest, os.W_OK) and (nearest.is_file() if path.exists() else nearest.is_dir()):
        return ok("Log", str(path))
    return broken("Log", f"{path} cannot be written", "Set logs.dir to a folder that can be written.")


def check_model(settings: Settings) -> Iterator[Check]:
    """The running model, or else the report of a worker: `python -m worker.check` prints one JSON object a line.

    A running model is not loaded a second time: there may be no memory for it.
    """
    running = _running(settings)
    if running is not None:
        yield running
        return
    advice = "`make run` installs what is missing; `python -m worker.check` shows the details."
    command = [sys.executable, "-P", "-m", "worker.check"]
    try:
        answer = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, timeout=MODEL_TIMEOUT_S, check=False, env=os.environ
        )
    except subprocess.TimeoutExpired:
        yield broken("Model", f"did not load within {MODEL_TIMEOUT_S} s", advice)
        return
    checks = [check for line in answer.stdout.splitlines() if (check := _worker_check(line))]
    yield from checks
    if not checks or (answer.returncode != 0 and all(check.state is not State.BROKEN for check in checks)):
        reason = _error(answer.stderr) or f"status {answer.returncode}"
        yield broken("Model", f"cannot be checked: {reason}", advice)


def _running(settings: Settings) -> Check | None:
    """The worker that serves the configured model, or is starting to, from the status of the service."""
    try:
        _, status = get_json(f"{own_health_url(settings)}/status", probe_context(settings))
    except HttpError:
        return None
    name, path = settings.model.name, settings.model.path
    names = {name, shown_name(name, str(path) if path is not None else None)}
    """While it is loaded, and later."""
    for worker in status.get("workers") or ():
        if name == "auto" or worker["model"] in names:
            passes = f"; passes {worker['passes']}" if worker.get("passes") else ""
            fit = f" ({worker['slots_reason']})" if worker.get("slots_reason") else ""
            where = f"{worker['model']} on {worker['device']} ({worker['compute_type']})"
            reason = f"; {worker['model_reason'].rstrip('.')}" if worker.get("model_reason") else ""
            return ok("Model", f"{where}, {worker['slots']} slots{fit}, runs on {worker['host']}{passes}{reason}")
    for start in status.get("starting") or ():
        if name == "auto" or start["model"] in names:
            return absent("Model", f"a worker {start['doing']}", "Wait until it is warm, then check again.")
    return None


def _worker_check(line: str) -> Check | None:
    """One line of the worker's report. `ok` is null for parts that are not needed; other lines are output of
    libraries."""
    try:
        report = json.loads(line)
        state = {True: State.OK, False: State.BROKEN, None: State.ABSENT}[report["ok"]]
        return Check(str(report["check"]), state, str(report["detail"]), str(report.get("advice") or ""))
    except (ValueError, KeyError, TypeError):
        return None


def _error(output: str) -> str:
    """The last line of an output, or of a traceback the one that names the exception: more lines may explain it."""
    _, traceback, rest = output.rpartition("Traceback (most recent call last):\n")
    lines = [line for line in rest.splitlines() if line.strip()]
    if traceback:
        return next((line for line in lines if not line[0].isspace()), "")
    return lines[-1] if lines else ""


def _existing(path: Path) -> Path:
    """The path, or its nearest existing parent."""
    path = path.absolute()
    return next(place for place in (path, *path.parents) if place.exists())
