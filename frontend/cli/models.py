"""`voxtral models`: the running models, as the service reports them to its clients."""

import asyncio
import json
import ssl

import click
from rich.table import Table

from frontend.cli.console import output
from frontend.cli.status import client_status


def show_models(url: str, *, key: str | None, tls: ssl.SSLContext | None, as_json: bool) -> None:
    """Print each running model. Raises `ClientError`."""
    models = asyncio.run(client_status(url, key, tls))["model_info"]["models"]
    if as_json:
        for model in models:
            click.echo(json.dumps(model, ensure_ascii=False))
        return
    if not models:
        click.echo("No worker is running with a warm model.", err=True)
        return
    table = Table("Model", "Engine", "Modes", "Slots", box=None, header_style="bold", padding=(0, 2, 0, 0))
    for model in models:
        slots = f"{model['slots_free']} of {model['slots']} free"
        table.add_row(model["model"], model["engine"], ", ".join(model["modes"]), slots)
    output().print(table)
