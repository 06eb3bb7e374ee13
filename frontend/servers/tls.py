"""TLS of the frontends: one certificate for all of them, reloaded when its files change.

        tls = server_context(settings)     # None if TLS is off
    loop.create_server(…, ssl=tls)

Knows no protocol. Also has the contexts with which programs of this machine connect to such a server.
"""

import ssl
import time
from pathlib import Path
from typing import Any, Final, NoReturn

import structlog

from shared.config.settings import Settings
from shared.errors import StartupError

LOOK_INTERVAL_S: Final = 1.0
"""The files are checked when a client connects, but not more often than this."""
HANDSHAKE_S: Final = 10.0
"""The timeout of a client's handshake."""
_PEM_END: Final = "-----END CERTIFICATE-----"

log = structlog.get_logger(__name__)

Signature = tuple[tuple[int, int, int], ...]
"""Of both files: inode, size and time of change."""


def server_context(settings: Settings) -> ssl.SSLContext | None:
    """The context of the service's servers; None if neither file is configured.

    Raises `StartupError` if the files are not a pair.
    """
    certificate, key = settings.server.tls_certificate, settings.server.tls_key
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        given, missing = ("key", "certificate") if certificate is None else ("certificate", "key")
        raise StartupError(f"Setting server.tls_{given} is set and server.tls_{missing} is not; set both, or neither.")
    return _Pair(certificate, key).context


def tls_options(settings: Settings) -> dict[str, Any]:
    """The same as keyword arguments of `loop.create_server`, and of functions that pass them on to it."""
    context = server_context(settings)
    return {} if context is None else {"ssl": context, "ssl_handshake_timeout": HANDSHAKE_S}


def probe_context(settings: Settings) -> ssl.SSLContext | None:
    """For programs that check whether a server of this machine answers, and send it nothing secret."""
    if settings.server.tls_certificate is None:
        return None
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def own_context(settings: Settings) -> ssl.SSLContext | None:
    """For clients of a service with these settings on this machine, whatever name its certificate is for.

    They accept only that certificate. Raises `StartupError` if it cannot be read.
    """
    certificate = settings.server.tls_certificate
    if certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    first, end, _ = _read(certificate, "server.tls_certificate").partition(_PEM_END)
    try:
        context.load_verify_locations(cadata=first + end)
    except (ssl.SSLError, ValueError):
        raise StartupError(_no_certificate(certificate)) from None
    return context


class _Pair:
    """A certificate and its key. Each handshake uses the newest pair that could be read."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self._files = certificate, key
        self._seen = self._signature()
        self._looked_at_s = time.monotonic()
        self._newest = self.context = _loaded(certificate, key)
        self.context.sni_callback = self._choose

    def _choose(self, connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _context: ssl.SSLContext) -> None:
        """Called by each handshake, also for clients that name no server."""
        now_s = time.monotonic()
        if now_s - self._looked_at_s >= LOOK_INTERVAL_S:
            self._looked_at_s = now_s
            self._refresh()
        connection.context = self._newest

    def _refresh(self) -> None:
        signature = self._signature()
        if signature == self._seen:
            return
        self._seen = signature
        try:
            self._newest = _loaded(*self._files)
        except StartupError as error:
            log.warning("tls_certificate_rejected", reason=str(error), consequence="the former certificate stays")
        else:
            log.info("tls_certificate_read", file=str(self._files[0]))

    def _signature(self) -> Signature:
        try:
            found = [file.stat() for file in self._files]
        except OSError:
            return ()
        return tuple((each.st_ino, each.st_size, each.st_mtime_ns) for each in found)


def _loaded(certificate: Path, key: Path) -> ssl.SSLContext:
    """Raises `StartupError` that names the faulty file."""
    _read(certificate, "server.tls_certificate")
    _read(key, "server.tls_key")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key, password=_refuse_password)
    except _EncryptedError:
        raise StartupError(
            f"The key in {key} (server.tls_key) is encrypted; allowed: a key without a password."
        ) from None
    except ssl.SSLError as error:
        raise StartupError(_complaint(error, certificate, key)) from None
    return context


def _complaint(error: ssl.SSLError, certificate: Path, key: Path) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return (
            f"The key in {key} (server.tls_key) does not belong to the certificate in {certificate} "
            "(server.tls_certificate); allowed: the key that it was issued for."
        )
    try:
        ssl.create_default_context(cafile=str(certificate))
    except (ssl.SSLError, ValueError):
        return _no_certificate(certificate)
    return f"The file {key} (server.tls_key) contains no private key in PEM format."


def _no_certificate(certificate: Path) -> str:
    return f"The file {certificate} (server.tls_certificate) contains no certificate in PEM format."


def _read(file: Path, setting: str) -> str:
    try:
        return file.read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise StartupError(f"The file {file} ({setting}) cannot be read: {error.strerror}.") from None


class _EncryptedError(Exception):
    pass


def _refuse_password() -> NoReturn:
    """Prevents OpenSSL from asking on the terminal."""
    raise _EncryptedError
