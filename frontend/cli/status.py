"""`voxtral status`: the report of the health service in readable form."""

import json
import ssl
import sys
from collections import Counter
from typing import Any

import click
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from frontend.cli.http_get import HttpError, get_json

MIB = 1024**2
PIPE_COLUMNS = 200
"""Width without a terminal, where lines should not be wrapped."""


class ServiceError(Exception):
    """There is no status to show. The message is one sentence."""


def show_status(url: str, *, as_json: bool, tls: ssl.SSLContext | None = None) -> bool:
    """Print the status; False if the service would not accept a session now.

    Raises `ServiceError` if no service answers.
    """
    try:
        code, answer = get_json(f"{url}/status", tls)
    except HttpError as error:
        hint = " Start the service with `make run`, or give its address with --url." if error.refused else ""
        raise ServiceError(f"{error}{hint}") from None
    if code == 403 and "detail" in answer:
        raise ServiceError(f"{url}/status answers with status 403: {answer['detail']}")
    if code != 200 or "status" not in answer:
        raise ServiceError(f"{url}/status answers with status {code}, but not as this service does.")
    if as_json:
        click.echo(json.dumps(answer, ensure_ascii=False))
    else:
        width = None if sys.stdout.isatty() else PIPE_COLUMNS
        Console(highlight=False, width=width).print(_summary(answer), _processes(answer))
    return bool(answer["status"] == "ready")


def _summary(answer: dict[str, Any]) -> Group:
    """Two columns, the most important rows first."""
    ready = answer["status"] == "ready"
    redis = answer["redis"]
    redis_ms = redis["answer_ms"]
    table = Table.grid(padding=(0, 2))
    table.add_row("Service", Text("ready", "green") if ready else Text(f"not ready: {answer['reason']}", "bold red"))
    table.add_row("Version", answer["version"])
    models = answer["models"]
    table.add_row("Model", f"{_joined([model['model'] for model in models])} on {_joined(answer['devices'])}")
    if len(models) > 1:  # otherwise the rows below say it
        for model in models:
            free = f"{model['slots_free']} of {model['slots']} slots free"
            table.add_row("", f"{model['model']}: {', '.join(model['modes'])} ({free})")
    for reason in sorted({worker.get("model_reason", "") for worker in answer["workers"]} - {""}):
        table.add_row("", reason)
    table.add_row("Sessions", f"{answer['sessions']} ({answer['slots_free']} of {answer['slots']} slots free)")
    for reason in sorted({worker.get("slots_reason", "") for worker in answer["workers"]} - {""}):
        table.add_row("", f"Slots of a worker: {reason}.")
    table.add_row("Connections", str(answer["connections"]))
    table.add_row("Redis", f"{redis['address']} ({'no answer' if redis_ms is None else f'{redis_ms:g} ms'})")
    for stage, percentiles in answer["latency_ms"].items():
        shown = " / ".join(f"{percentiles[name]:.0f}" for name in ("p50", "p95", "p99"))
        table.add_row(f"Latency, {stage}", f"{shown} ms (p50 / p95 / p99)")
    errors = Counter(answer["errors"]["by_code"]) + Counter(answer["worker_errors"]["by_code"])
    table.add_row("Errors", ", ".join(f"{code} {count}" for code, count in errors.items()) or "none")
    return Group(table, "")


def _processes(answer: dict[str, Any]) -> Table:
    table = Table(
        "Process", "Version", "Sessions", "Memory", "Load", box=None, header_style="bold", padding=(0, 2, 0, 0)
    )
    for worker in answer["workers"]:
        slots = f"{worker['sessions']} of {worker['slots']}" + (
            " (draining)" if worker["draining"] else " (overloaded)" if worker.get("overloaded") else ""
        )
        load = f"load {worker['load']:.0%}, " if worker.get("load") else ""
        load += f"real-time factor {worker['real_time_factor']:.2f}, lag {worker['lag_ms']:.0f} ms"
        table.add_row(f"worker {worker['id']}", worker["version"], slots, _memory(worker), load)
    for frontend in answer["frontends"]:
        load = f"{frontend['connections']} connections"
        name = f"{frontend['kind']} {frontend['id']}"
        table.add_row(name, frontend["version"], str(frontend["sessions"]), _memory(frontend), load)
    return table


def _memory(report: dict[str, Any]) -> str:
    memory = f"{report['rss_bytes'] / MIB:.0f} MiB"
    if report.get("gpu_memory_used_bytes") is None:
        return memory
    return f"{memory}, GPU {report['gpu_memory_used_bytes'] / MIB:.0f} MiB"


def _joined(names: list[str]) -> str:
    return ", ".join(names) or "none"
