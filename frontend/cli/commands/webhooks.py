"""`voxtral webhooks`: the secrets that sign what one's own service sends."""

import click

from frontend.cli.commands.command import Command


@click.group()
def webhooks() -> None:
    """Create and show the secrets of the webhooks of your own service."""


@webhooks.command(cls=Command, name="new-secret")
def new_secret() -> None:
    """Print a new secret for webhooks.secret or webhooks.secret_file."""
    import secrets

    from shared.webhooks.signing import SECRET_BYTES, encoded

    click.echo(encoded(secrets.token_bytes(SECRET_BYTES)))


@webhooks.command(cls=Command, name="secret")
@click.argument("name", required=False, default="")
def secret(*, name: str) -> None:
    """Print the secret with which a receiver verifies the events of the key NAME.

    Without NAME: for sessions without a key. The secret of the service comes from the settings here.
    """
    from frontend.access.key_list import NAME_ALLOWED, is_key_name
    from shared.config.settings import load_settings
    from shared.errors import shown
    from shared.webhooks.signing import Signer

    if name and not is_key_name(name):
        raise click.BadParameter(f"'name' is {shown(name)}; allowed: {NAME_ALLOWED}.")
    click.echo(Signer.of(load_settings().webhooks).secret_of(name))
