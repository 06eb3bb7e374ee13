"""A command that prepares the process before it runs, which its help text does not need."""

from typing import Any

import click


class Command(click.Command):
    """Calls the root context's object first, if there is one."""

    def invoke(self, context: click.Context) -> Any:
        prepare = context.find_root().obj
        if prepare is not None:
            prepare()
        return super().invoke(context)
