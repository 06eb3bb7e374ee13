"""Signs webhooks as Standard Webhooks specifies (https://www.standardwebhooks.com), with HMAC-SHA256.

The service has one secret. What is sent for an API key is signed with a secret that is derived from it and the name of
the key, so that the receiver of one key cannot sign for another. The list of keys holds no secrets.
"""

import base64
import binascii
import hmac
import re
from collections.abc import Sequence
from typing import Final

from shared.config.webhooks import WebhookSettings
from shared.errors import StartupError
from shared.webhooks.webhook import SERVICE

PREFIX: Final = "whsec_"
SECRET_BYTES: Final = 32
MIN_BYTES, MAX_BYTES = 24, 64
"""Of a secret, as the specification recommends."""
MAX_FILE_BYTES: Final = 4096
ALLOWED: Final = (
    f"{PREFIX} and base64 of {MIN_BYTES} to {MAX_BYTES} bytes, as `voxtral webhooks new-secret` prints it; during a "
    "change also several secrets, separated by spaces, the new one first"
)


class Signer:
    """The secrets of the service."""

    def __init__(self, secrets: Sequence[bytes]) -> None:
        assert secrets, "events are not sent without a signature"
        self._secrets = tuple(secrets)

    @classmethod
    def of(cls, settings: WebhookSettings) -> "Signer":
        """Raises StartupError if there is no secret, or a bad one."""
        text, where = _secret_text(settings)
        try:
            return cls([decoded(one) for one in text.split()])
        except ValueError:
            raise StartupError(f"{where} has a bad value; allowed: {ALLOWED}.") from None

    def secret_of(self, key_name: str) -> str:
        """The secret with which the receiver of a key's events verifies them."""
        return encoded(_derived(self._secrets[0], key_name))

    def headers(self, message_id: str, timestamp_s: int, body: bytes, key_name: str) -> dict[str, str]:
        """The headers of one attempt to send a message. During a change of the secret there are several signatures."""
        signed = f"{message_id}.{timestamp_s}.".encode() + body
        signatures = [hmac.digest(_derived(secret, key_name), signed, "sha256") for secret in self._secrets]
        return {
            "webhook-id": message_id,
            "webhook-timestamp": str(timestamp_s),
            "webhook-signature": " ".join(f"v1,{base64.b64encode(one).decode()}" for one in signatures),
        }


def encoded(secret: bytes) -> str:
    return PREFIX + base64.b64encode(secret).decode()


def decoded(text: str) -> bytes:
    """The bytes of a secret. Raises ValueError, which does not repeat it."""
    try:
        secret = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        raise ValueError("not base64") from None
    if not text.startswith(PREFIX) or not MIN_BYTES <= len(secret) <= MAX_BYTES:
        raise ValueError("not a secret")
    return secret


def _derived(secret: bytes, key_name: str) -> bytes:
    """The secret of a key: HMAC-SHA256 as a key derivation function (NIST SP 800-108)."""
    if key_name == SERVICE:
        return secret
    assert re.fullmatch(r"[A-Za-z0-9._-]+", key_name), "names of keys have no other characters"
    return hmac.digest(secret, f"voxtral webhook {key_name}".encode(), "sha256")


def _secret_text(settings: WebhookSettings) -> tuple[str, str]:
    """The secrets as text, and the name of their setting in errors."""
    if settings.secret is not None:
        return settings.secret.get_secret_value() or "-", "Setting webhooks.secret"
    if settings.secret_file is None:
        raise StartupError(
            "There is no secret to sign webhooks with: set webhooks.secret_file, or webhooks.secret "
            f"(VOXTRAL_WEBHOOKS__SECRET); allowed: {ALLOWED}."
        )
    where = f"The file {settings.secret_file} (webhooks.secret_file)"
    try:
        with settings.secret_file.open("rb") as file:
            return file.read(MAX_FILE_BYTES).decode("ascii", "replace") or "-", where
    except OSError as error:
        raise StartupError(f"{where} cannot be read: {error.strerror}.") from None
