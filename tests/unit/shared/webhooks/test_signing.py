"""Signatures of webhooks, judged by the library of Standard Webhooks, and the secrets behind them."""

import time
from pathlib import Path

import pytest
from pydantic import SecretStr
from standardwebhooks.webhooks import Webhook as Judge
from standardwebhooks.webhooks import WebhookVerificationError

from shared.config.webhooks import WebhookSettings
from shared.errors import StartupError
from shared.webhooks.signing import Signer, encoded
from shared.webhooks.webhook import SERVICE

FIRST, SECOND = encoded(bytes(range(32))), encoded(bytes(24))
BODY = '{"text": "Grüße"}'.encode()


def signer(*secrets: str) -> Signer:
    return Signer.of(WebhookSettings(secret=SecretStr(" ".join(secrets))))


def verified(secret: str, headers: dict[str, str], body: bytes = BODY) -> bool:
    try:
        Judge(secret).verify(body, headers)
    except WebhookVerificationError:
        return False
    return True


def test_receiver_verifies_the_signature() -> None:
    headers = signer(FIRST).headers("s1-7", int(time.time()), BODY, SERVICE)
    assert headers["webhook-id"] == "s1-7"
    assert verified(FIRST, headers)
    assert not verified(SECOND, headers)
    assert not verified(FIRST, headers, BODY + b" ")
    assert not verified(FIRST, headers | {"webhook-id": "s1-8"})


def test_each_key_has_its_own_secret() -> None:
    service = signer(FIRST)
    anna, bob = service.secret_of("anna"), service.secret_of("bob")
    assert len({anna, bob, service.secret_of(SERVICE)}) == 3
    headers = service.headers("s1-7", int(time.time()), BODY, "anna")
    assert verified(anna, headers)
    assert not verified(bob, headers)
    assert not verified(FIRST, headers)


def test_old_secret_verifies_during_a_change() -> None:
    headers = signer(SECOND, FIRST).headers("s1-7", int(time.time()), BODY, "anna")
    for secret in (FIRST, SECOND):
        assert verified(signer(secret).secret_of("anna"), headers)


def test_secrets_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text(f"{SECOND}\n{FIRST}\n")
    assert Signer.of(WebhookSettings(secret_file=path)).secret_of(SERVICE) == SECOND


@pytest.mark.parametrize(
    "text", ["", "sesame", FIRST[:20], FIRST.removeprefix("whsec_"), "whsec_!", encoded(bytes(65))]
)
def test_bad_secret_stops_the_start_and_is_not_shown(text: str) -> None:
    with pytest.raises(StartupError) as refused:
        signer(text)
    assert "Setting webhooks.secret has a bad value; allowed: whsec_ and base64 of 24 to 64 bytes" in str(refused.value)
    assert not text or text not in str(refused.value)


def test_missing_secret_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match=r"There is no secret .* set webhooks\.secret_file, or webhooks\.secret "):
        Signer.of(WebhookSettings())
    with pytest.raises(StartupError, match=r"none \(webhooks\.secret_file\) cannot be read: No such file"):
        Signer.of(WebhookSettings(secret_file=tmp_path / "none"))
