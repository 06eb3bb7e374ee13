"""Options of all commands that use a service: its address, the key, the certificates."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce, wraps
from typing import Any

import click

from shared.variables import CA_VARIABLE, KEY_VARIABLE, URL_VARIABLE

_OPTIONS = (
    click.option(
        "--url",
        envvar=URL_VARIABLE,
        metavar="ADDRESS",
        help=f"Address of the service: http(s)://host:port, ws(s)://host:port or host:port; also {URL_VARIABLE}.  "
        "[default: from the settings]",
    ),
    click.option(
        "--key",
        envvar=KEY_VARIABLE,
        help=f"API key, if one is required; safer as {KEY_VARIABLE}, because other users can see options.",
    ),
    click.option(
        "--ca-file",
        envvar=CA_VARIABLE,
        metavar="FILE",
        help="Certificate authorities to trust for the service, in PEM format.  [default: the system's]",
    ),
)


@dataclass(frozen=True, slots=True)
class Service:
    """The service that a command uses."""

    url: str | None
    """As the user gives it; None for the one that the settings describe."""
    key: str | None
    ca_file: str | None

    @property
    def websocket_url(self) -> str:
        from frontend.cli.address import websocket_url

        return websocket_url(self.url)

    @property
    def base_url(self) -> str:
        from frontend.cli.address import base_url

        return base_url(self.url)

    @property
    def tls(self) -> ssl.SSLContext | None:
        """The accepted certificates; None: those of the system's authorities."""
        from frontend.cli.certificates import trusted

        return trusted(self.url, self.ca_file)

    @property
    def chunk_samples(self) -> int:
        """The settings here say nothing about a service elsewhere, and need not be valid."""
        from shared.config.sections import AudioSettings
        from shared.config.settings import load_settings

        return (load_settings().audio if self.url is None else AudioSettings()).chunk_size


def service_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Passes the command a `service`."""

    @wraps(command)
    def with_service(*arguments: Any, url: str | None, key: str | None, ca_file: str | None, **others: Any) -> Any:
        click.get_current_context().find_root().meta[KEY_VARIABLE] = key
        return command(*arguments, service=Service(url, key, ca_file), **others)

    return reduce(lambda decorated, option: option(decorated), reversed(_OPTIONS), with_service)
