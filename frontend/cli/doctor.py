"""`voxtral doctor`: checks everything that the service needs, and says how to fix what is wrong."""

import json
from collections.abc import Iterator
from dataclasses import asdict

import click
from rich.text import Text

from frontend.cli.checks.check import Check, State, absent, broken, ok
from frontend.cli.checks.machine import check_disk, check_gpu, check_log, check_model, check_python
from frontend.cli.checks.service import (
    check_broker,
    check_embedded_server,
    check_keys,
    check_ports,
    check_readiness,
    check_redis,
    check_store,
    check_tls,
    check_webhooks,
)
from frontend.cli.console import output
from shared.bus.append_only_file import damage, locked, move_aside
from shared.bus.server_binary import server_binary
from shared.config.settings import load_settings
from shared.errors import StartupError

MARKS = {
    State.OK: ("✓", "green"),
    State.WARNING: ("!", "bold yellow"),
    State.BROKEN: ("✗", "bold red"),
    State.ABSENT: ("–", "bright_black"),
}
NAME_COLUMNS = 17


def run_doctor(*, as_json: bool) -> bool:
    """Print each check as soon as it is done; False if something is broken."""
    console = output(soft_wrap=True)
    found: set[State] = set()
    for check in all_checks():
        found.add(check.state)
        if as_json:
            click.echo(json.dumps(asdict(check), ensure_ascii=False))
        else:
            console.print(_line(check))
    if not as_json:
        console.print(_sum(found))
    return State.BROKEN not in found


def repair_store() -> str:
    """Move a damaged append-only file of the embedded server aside, and say what was done.

    Raises StartupError if there is nothing to repair here, or while a server uses the file.
    """
    settings = load_settings()
    if not settings.redis_is_embedded:
        raise StartupError("REDIS_URL names an external server: repair its files there.")
    data_dir = settings.redis.data_dir
    with locked(data_dir):
        if damage(settings.redis, server_binary(settings.redis)) is None:
            return f"The append-only file in {data_dir} can be loaded: nothing was moved."
        aside = move_aside(data_dir)
    return (
        f"Moved the damaged append-only file to {aside}; the next start begins a new one. "
        "It contains audio and text of clients: delete it when you no longer need it."
    )


def all_checks() -> Iterator[Check]:
    """All checks in order of dependency: an early failure explains later ones."""
    yield check_python()
    try:
        settings = load_settings()
    except StartupError as error:
        yield broken("Configuration", str(error), "Correct config.yaml or the environment, then check again.")
        yield absent("The rest", "not checked without a valid configuration")
        return
    yield ok("Configuration", "valid")
    keys = check_keys(settings)
    yield keys
    if keys.state is not State.BROKEN:
        yield check_webhooks(settings)
    yield check_tls(settings)
    yield check_log(settings)
    yield check_disk(settings)
    yield check_gpu(settings)
    yield check_embedded_server(settings)
    yield check_store(settings)
    yield check_redis(settings)
    yield from check_broker(settings)
    yield from check_ports(settings)
    yield from check_model(settings)
    yield check_readiness(settings)


def _sum(found: set[State]) -> str:
    if State.BROKEN in found:
        return "Something is broken; see ✗ above."
    return "All requirements are met" + ("; see the warnings (!) above." if State.WARNING in found else ".")


def _line(check: Check) -> Text:
    mark, style = MARKS[check.state]
    line = Text.assemble((mark, style), " ", f"{check.name:<{NAME_COLUMNS}} ", check.detail)
    if check.advice:
        urgent = check.state in {State.BROKEN, State.WARNING}
        line.append(f"\n{'':<{NAME_COLUMNS + 3}}{check.advice}", style="yellow" if urgent else "")
    return line
