"""The command line `voxtral`: the group of its commands, and the handling of errors.

Users see one sentence and an exit status (`frontend.cli.failures`). `voxtral --debug` shows tracebacks. Commands import
what they need when they run, so that a help text appears at once.
"""

import os
import sys
from typing import Any

import click

from frontend.cli.commands.completion import completion
from frontend.cli.commands.keys import keys
from frontend.cli.commands.recordings import listen, transcribe
from frontend.cli.commands.service import doctor, models, serve, status
from frontend.cli.commands.speakers import speakers
from frontend.cli.commands.webhooks import webhooks
from frontend.cli.failures import Status, failure
from shared.variables import KEY_VARIABLE
from shared.version import VERSION


class _Voxtral(click.Group):
    """Turns exceptions of a command into one sentence and an exit status."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except (click.ClickException, click.exceptions.Exit):
            raise
        except KeyboardInterrupt:
            context.exit(Status.INTERRUPTED)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # otherwise the flush at exit fails too
            context.exit(Status.READER_GONE)
        except Exception as error:
            if context.params["debug"]:
                raise
            raise failure(error, has_key=bool((context.meta.get(KEY_VARIABLE) or "").strip())) from None


@click.group(cls=_Voxtral, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="voxtral")
@click.option("--debug", is_flag=True, help="Show tracebacks of errors.")
def cli(debug: bool) -> None:
    """Transcribe speech, live or recorded, and answer questions about it."""


for command in (transcribe, listen, serve, status, models, doctor, keys, webhooks, speakers, completion):
    cli.add_command(command)
