"""The certificates that a command accepts."""

import ssl

import click

from frontend.servers.tls import own_context
from shared.config.settings import load_settings


def trusted(url: str | None, ca_file: str | None) -> ssl.SSLContext | None:
    """For a service at `url`, or for the one that the settings describe, which is identified by its own certificate.

    None means the certificate authorities of the system. Raises `click.BadParameter` for a file without certificates.
    """
    try:
        context = None if ca_file is None else ssl.create_default_context(cafile=ca_file)
    except (ssl.SSLError, OSError, ValueError) as error:
        reason = "it contains no certificate in PEM format" if isinstance(error, ssl.SSLError) else str(error)
        raise click.BadParameter(f"{ca_file} cannot be used: {reason}.", param_hint="--ca-file") from None
    return own_context(load_settings()) if url is None else context
