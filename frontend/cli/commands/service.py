"""`voxtral serve`, `status`, `models` and `doctor`: start and inspect a service."""

import importlib.util
import os
import sys
from pathlib import Path

import click

from frontend.cli.commands.command import Command
from frontend.cli.commands.connection import Service, service_options


@click.command()
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Number of workers.")
@click.option("--show-config", is_flag=True, help="Print the settings with their defaults, as a file config.yaml.")
def serve(*, workers: int, show_config: bool) -> None:
    """Start the service: all of its processes, with an embedded Redis server unless REDIS_URL is set.

    Settings come from config.yaml in this folder (or the file that VOXTRAL_CONFIG names) and from the environment.
    Logs and data are written to logs/ and data/ in this folder, unless they say otherwise. Ctrl-C stops everything.
    """
    package = _folder_of_launcher()
    if show_config:
        click.echo((package / "config.yaml").read_text(encoding="utf-8"), nl=False)
        return
    command = [sys.executable, "-m", "compose.launch", "--workers", str(workers), "--procfile", package / "Procfile"]
    # Whatever lies in this folder is not taken for a module of the service.
    os.execve(sys.executable, list(map(str, command)), os.environ | {"PYTHONSAFEPATH": "1"})  # noqa: S606


def _folder_of_launcher() -> Path:
    """Found by name: the launcher may import the command line, and not the reverse."""
    found = importlib.util.find_spec("compose")
    assert found is not None
    assert found.submodule_search_locations is not None
    return Path(found.submodule_search_locations[0])


@click.command(cls=Command)
@click.option("--json", "as_json", is_flag=True, help="Print the status as JSON.")
@service_options
def status(*, service: Service, as_json: bool) -> None:
    """Show the status of the service. The exit status is 4 if it would not accept a session now.

    The health service (port 8005) has the full report; at other ports it is what every client may know.
    """
    from frontend.cli.address import own_health_url
    from frontend.cli.failures import Status
    from frontend.cli.status import show_status, show_status_at
    from shared.config.settings import load_settings

    tls = service.tls
    if service.url is None:
        ready = show_status(own_health_url(load_settings()), as_json=as_json, tls=tls)
    else:
        ready = show_status_at(service.websocket_url, key=service.key, as_json=as_json, tls=tls)
    sys.exit(Status.DONE if ready else Status.REFUSED)


@click.command(cls=Command)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per model.")
@service_options
def models(*, service: Service, as_json: bool) -> None:
    """List the running models, and what they do."""
    from frontend.cli.models import show_models

    show_models(service.websocket_url, key=service.key, tls=service.tls, as_json=as_json)


@click.command(cls=Command)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per check.")
@click.option("--repair-store", "repairs", is_flag=True, help="Move a damaged append-only file of the server aside.")
def doctor(*, as_json: bool, repairs: bool) -> None:
    """Check what the service needs, and say how to fix problems. The exit status is 1 if something is broken."""
    from frontend.cli.doctor import repair_store, run_doctor

    if repairs:
        click.echo(repair_store())
        return
    sys.exit(0 if run_doctor(as_json=as_json) else 1)
