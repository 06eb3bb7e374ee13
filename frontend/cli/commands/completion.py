"""`voxtral completion`: completes commands and options in a shell."""

import click
from click.shell_completion import get_completion_class

PROGRAM = "voxtral"
COMPLETE_VARIABLE = "_VOXTRAL_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that completes commands and options in a shell.

    \b
    bash:  eval "$(voxtral completion bash)"          in ~/.bashrc
    zsh:   eval "$(voxtral completion zsh)"           in ~/.zshrc
    fish:  voxtral completion fish | source           in ~/.config/fish/config.fish
    """
    shells = get_completion_class(shell)
    assert shells is not None
    click.echo(shells(context.find_root().command, {}, PROGRAM, COMPLETE_VARIABLE).source())
