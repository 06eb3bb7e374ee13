"""Self-signed certificates for tests, made by openssl."""

import os
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


class Certificate:
    """Of `localhost`, and of no address; its key lies beside it."""

    def __init__(self, folder: Path) -> None:
        if shutil.which("openssl") is None:
            pytest.skip("openssl is not installed")
        self.path = folder / "certificate.pem"
        self.key_path = folder / "key.pem"
        self.renew()

    def renew(self) -> None:
        """Another certificate with another key, in the same files, as a certificate manager replaces them."""
        made = [self.path.with_suffix(".new"), self.key_path.with_suffix(".new")]
        command = ["openssl", "req", "-x509", *NEW_KEY, "-days", "2", "-subj", "/CN=localhost"]
        command += ["-addext", "subjectAltName=DNS:localhost", "-out", str(made[0]), "-keyout", str(made[1])]
        subprocess.run(command, check=True, capture_output=True)
        os.replace(made[1], self.key_path)
        os.replace(made[0], self.path)

    @property
    def settings(self) -> dict[str, str]:
        """What a service needs to know, as its section `server` has it."""
        return {"tls_certificate": str(self.path), "tls_key": str(self.key_path)}

    @property
    def trust(self) -> ssl.SSLContext:
        """Of a client that accepts this certificate."""
        return ssl.create_default_context(cafile=str(self.path))

    @property
    def der(self) -> bytes:
        return ssl.PEM_cert_to_DER_cert(self.path.read_text())
