"""Self-signed certificates for tests, made by openssl."""

import os
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


class Certificate:
    """The certificate is for `localhost` and no IP address; its key is in the same folder."""

    def __init__(self, folder: Path) -> None:
        if shutil.which("openssl") is None:
            pytest.skip("openssl is not installed")
        self.path = folder / "certificate.pem"
        self.key_path = folder / "key.pem"
        self.renew()

    def renew(self) -> None:
        """Replace the certificate and its key in the same files, as a certificate manager does."""
        made = [self.path.with_suffix(".new"), self.key_path.with_suffix(".new")]
        command = ["openssl", "req", "-x509", *NEW_KEY, "-days", "2", "-subj", "/CN=localhost"]
        command += ["-addext", "subjectAltName=DNS:localhost", "-out", str(made[0]), "-keyout", str(made[1])]
        subprocess.run(command, check=True, capture_output=True)
        os.replace(made[1], self.key_path)
        os.replace(made[0], self.path)

    @property
    def settings(self) -> dict[str, str]:
        """The settings of a service, as in its section `server`."""
        return {"tls_certificate": str(self.path), "tls_key": str(self.key_path)}

    @property
    def trust(self) -> ssl.SSLContext:
        """The TLS context of a client that accepts this certificate."""
        return ssl.create_default_context(cafile=str(self.path))

    @property
    def der(self) -> bytes:
        return ssl.PEM_cert_to_DER_cert(self.path.read_text())
