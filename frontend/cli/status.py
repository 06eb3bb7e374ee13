"""`voxtral status`: the report of the health service in readable form, or what the service tells its clients."""

import asyncio
import json
import ssl
from http import HTTPStatus
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from frontend.cli.console import output
from frontend.cli.failures import START_HINT, ServiceError
from frontend.cli.http_get import HttpError, get_json
from voxtral_client import TranscriptionClient
from voxtral_client.addresses import http_url, without_password

MIB = 1024**2


def show_status(url: str, *, as_json: bool, tls: ssl.SSLContext | None = None) -> bool:
    """Print the full status from the health service at a base URL; False if no session would be accepted now.

    Raises `ServiceError` if no health service answers.
    """
    answer = full_status(url, tls)
    if answer is None:
        raise ServiceError(f"{without_password(url)}/status answers, but not as this service does.")
    return _show(answer, as_json=as_json)


def full_status(url: str, tls: ssl.SSLContext | None) -> dict[str, Any] | None:
    """The report of the health service; None if another server answers at this URL. Raises `ServiceError`."""
    try:
        code, answer = get_json(f"{url}/status", tls)
    except HttpError as error:
        if error.answered:
            return None
        hint = f" {START_HINT}" if error.refused else ""
        raise ServiceError(f"{error}{hint}") from None
    if code == HTTPStatus.FORBIDDEN and "detail" in answer:
        raise ServiceError(f"{without_password(url)}/status answers with status 403: {answer['detail']}")
    return answer if code == HTTPStatus.OK and "status" in answer else None


def show_status_at(address: str, *, key: str | None, as_json: bool, tls: ssl.SSLContext | None) -> bool:
    """The same for any address of the service: the health service there, or else what every client may know.

    Raises `ServiceError` and `ClientError`.
    """
    answer = full_status(http_url(address), tls)
    if answer is not None:
        return _show(answer, as_json=as_json)
    answer = asyncio.run(client_status(address, key, tls))
    if as_json:
        click.echo(json.dumps(answer, ensure_ascii=False))
    else:
        output().print(_brief(answer))
    return bool(answer["slots_free"])


async def client_status(address: str, key: str | None, tls: ssl.SSLContext | None) -> dict[str, Any]:
    """What the service tells its clients. Raises `ClientError`."""
    async with TranscriptionClient(address, key=key, tls=tls) as client:
        return await client.status()


def _show(answer: dict[str, Any], *, as_json: bool) -> bool:
    """Print the full status; False if no session would be accepted now."""
    if as_json:
        click.echo(json.dumps(answer, ensure_ascii=False))
    elif answer["redis"]["answer_ms"] is None:
        output().print(_outage(answer))
    else:
        output().print(_summary(answer), "", _processes(answer))
    return bool(answer["status"] == "ready")


def _brief(answer: dict[str, Any]) -> Table:
    """The report for clients. The health service has more."""
    models = answer["model_info"]["models"]
    reason = "all slots are in use" if models else "no worker is running with a warm model"
    table = Table.grid(padding=(0, 2))
    table.add_row("Service", _readiness(None if answer["slots_free"] else reason))
    table.add_row("Version", answer["version"])
    for number, model in enumerate(models or [None]):
        table.add_row("" if number else "Model", _joined([]) if model is None else _described(model))
    table.add_row("Slots", f"{answer['slots_free']} of {answer['slots']} free")
    return table


def _described(model: dict[str, Any]) -> str:
    return f"{model['model']}: {', '.join(model['modes'])} ({model['slots_free']} of {model['slots']} slots free)"


def _head(answer: dict[str, Any]) -> Table:
    """The first rows of the full report, in two columns."""
    table = Table.grid(padding=(0, 2))
    table.add_row("Service", _readiness(None if answer["status"] == "ready" else answer["reason"]))
    table.add_row("Version", answer["version"])
    return table


def _outage(answer: dict[str, Any]) -> Table:
    """What is known while Redis does not answer."""
    table = _head(answer)
    _add_redis(table, answer["redis"])
    table.add_row("Sessions, errors", "unknown while Redis does not answer")
    return table


def _summary(answer: dict[str, Any]) -> Table:
    """The most important rows first."""
    table = _head(answer)
    models = answer["models"]
    table.add_row("Model", f"{_joined([model['model'] for model in models])} on {_joined(answer['devices'])}")
    if len(models) > 1:  # otherwise the rows below say it
        for model in models:
            table.add_row("", _described(model))
    for reason in sorted({worker.get("model_reason", "") for worker in answer["workers"]} - {""}):
        table.add_row("", reason)
    table.add_row("Sessions", f"{answer['sessions']} ({answer['slots_free']} of {answer['slots']} slots free)")
    for count, what in ((answer.get("waiting"), "wait for a slot"), (answer.get("orphaned"), "have no worker")):
        if count:
            table.add_row("", Text(f"{count} {what}", "bold red"))
    for reason in sorted({worker.get("slots_reason", "") for worker in answer["workers"]} - {""}):
        table.add_row("", f"Slots of a worker: {reason}.")
    table.add_row("Connections", str(answer["connections"]))
    _add_redis(table, answer["redis"])
    for stage, percentiles in answer["latency_ms"].items():
        table.add_row(f"Latency, {stage}", latency_text(percentiles))
    errors = answer["errors"]["by_code"]
    table.add_row("Errors", ", ".join(f"{code} {count}" for code, count in errors.items()) or "none")
    return table


def latency_text(percentiles: dict[str, float]) -> str:
    """The percentiles of one stage, which are 0 if there was no text."""
    if not any(percentiles.values()):
        return "no live text in the last minute"
    return " / ".join(f"{percentiles[name]:.0f}" for name in ("p50", "p95", "p99")) + " ms (p50 / p95 / p99)"


def _add_redis(table: Table, redis: dict[str, Any]) -> None:
    ms = redis["answer_ms"]
    table.add_row("Redis", f"{redis['address']} ({'no answer' if ms is None else f'{ms:g} ms'})")
    if redis.get("topology") == "sentinel":
        table.add_row("", "Sentinel: " + (redis["trouble"] or f"the primary is {redis['primary']}"))


def _processes(answer: dict[str, Any]) -> Table:
    """A row for each worker and frontend."""
    table = Table(
        "Process", "Version", "Sessions", "Memory", "Load", box=None, header_style="bold", padding=(0, 2, 0, 0)
    )
    for worker in answer["workers"]:
        slots = f"{worker['sessions']} of {worker['slots']}" + (
            " (draining)" if worker["draining"] else " (overloaded)" if worker.get("overloaded") else ""
        )
        load = f"load {worker['load']:.0%}, " if worker.get("load") else ""
        load += f"real-time factor {worker['real_time_factor']:.2f}, lag {worker['lag_ms']:.0f} ms"
        load += f", event loop delay {worker.get('event_loop_delay_ms', 0.0):.0f} ms"
        table.add_row(f"worker {worker['id']}", worker["version"], slots, _memory(worker), load)
    for frontend in answer["frontends"]:
        delay_ms = frontend.get("event_loop_delay_ms", 0.0)
        load = f"{frontend['connections']} connections, event loop delay {delay_ms:.0f} ms"
        name = f"{frontend['kind']} {frontend['id']}"
        table.add_row(name, frontend["version"], str(frontend["sessions"]), _memory(frontend), load)
    return table


def _readiness(obstacle: str | None) -> Text:
    return Text("ready", "green") if obstacle is None else Text(f"not ready: {obstacle}", "bold red")


def _memory(report: dict[str, Any]) -> str:
    memory = f"{report['rss_bytes'] / MIB:.0f} MiB"
    if report.get("gpu_memory_used_bytes") is None:
        return memory
    return f"{memory}, GPU {report['gpu_memory_used_bytes'] / MIB:.0f} MiB"


def _joined(names: list[str]) -> str:
    return ", ".join(names) or "none"
