"""Which webhook a session has, and who may name one."""

from typing import Any

import pytest

from frontend.access.key_list import parse_keys
from frontend.access.principal import ANONYMOUS, Key, Principal
from frontend.access.webhooks import WebhookRules
from shared.config.settings import Settings
from shared.errors import InvalidFieldError, StartupError
from shared.session_options import SessionOptions
from shared.webhooks.signing import encoded
from shared.webhooks.webhook import ALL, Webhook, WebhookEvent

URL = "https://receiver.example/hook?token=s3cret"
ENABLED = {"enabled": True, "secret": encoded(bytes(32))}
ANNA = Key("anna", "a" * 64)
OWN = Webhook("https://anna.example/", ALL, "anna")


def rules(allow: tuple[str, ...] = (), **webhooks: Any) -> WebhookRules:
    return WebhookRules(Settings(webhooks=ENABLED | webhooks, outgoing={"allow": allow}))


def key_with(text: str) -> Key:
    (key,) = parse_keys(f"- {{name: anna, sha256: {'a' * 64}, {text}}}", "keys.yaml")
    return key


def test_client_with_a_key_names_the_webhook_of_its_session() -> None:
    anna = Principal("anna", ANNA)
    assert rules().chosen(SessionOptions(webhook=URL), anna, ANNA) == Webhook(URL, ALL, "anna")
    wanted = SessionOptions(webhook=URL, webhook_events=("done",))
    assert rules().chosen(wanted, anna, ANNA) == Webhook(URL, (WebhookEvent.DONE,), "anna")
    assert rules().chosen(SessionOptions(), anna, ANNA) is None


@pytest.mark.parametrize(
    ("settings", "principal", "url", "reason"),
    [
        ({"enabled": False}, ANONYMOUS, URL, "nothing: this service sends no webhooks"),
        ({}, ANONYMOUS, URL, "nothing for clients that present no API key"),
        ({}, Principal("anna", ANNA, is_client_token=True), URL, "nothing for clients that present no API key"),
        ({"clients": "none"}, Principal("anna", ANNA), URL, "only the list of keys names webhooks"),
        ({"clients": "all"}, ANONYMOUS, "http://receiver.example/?s3cret", "only https is allowed"),
        ({"clients": "all"}, ANONYMOUS, "https://127.0.0.1/?s3cret", "an address that is not public"),
        ({"clients": "all"}, ANONYMOUS, "https://receiver.example:25/?s3cret", "the port must be one of"),
    ],
)
def test_webhook_is_refused_without_repeating_its_url(
    settings: dict[str, Any], principal: Principal, url: str, reason: str
) -> None:
    with pytest.raises(InvalidFieldError, match="webhook is '…'; allowed: .*" + reason) as refused:
        rules(**settings).chosen(SessionOptions(webhook=url), principal, principal.key)
    assert refused.value.field == "webhook"
    assert "s3cret" not in str(refused.value)


def test_everyone_may_name_a_webhook_if_a_setting_says_so() -> None:
    chosen = rules(clients="all").chosen(SessionOptions(webhook=URL), ANONYMOUS, None)
    assert chosen == Webhook(URL, ALL, "")
    assert "s3cret" not in repr(chosen)


def test_session_has_the_webhook_of_its_key_unless_it_names_one() -> None:
    anna = key_with("webhook: 'https://anna.example/', webhook_events: 'done, final'")
    principal = Principal("anna", anna, is_client_token=True)
    found = rules(clients="none").chosen(SessionOptions(), principal, anna)
    assert found == Webhook("https://anna.example/", (WebhookEvent.FINAL, WebhookEvent.DONE), "anna")
    narrowed = rules().chosen(SessionOptions(webhook_events=("error",)), principal, anna)
    assert narrowed == Webhook("https://anna.example/", (WebhookEvent.ERROR,), "anna")
    named = rules().chosen(SessionOptions(webhook=URL), Principal("anna", anna), anna)
    assert named == Webhook(URL, ALL, "anna")


def test_events_without_a_webhook_are_refused() -> None:
    said = r"^webhook_events is \['done'\]; allowed: nothing if the session has no webhook"
    with pytest.raises(InvalidFieldError, match=said):
        rules().chosen(SessionOptions(webhook_events=("done",)), Principal("anna", ANNA), ANNA)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("webhook: here", "'webhook' is no such URL; allowed: a URL such as https://receiver.example/hook: a URL must"),
        ("webhook: 'https://a:b@c.example/'", "must not contain a user or a password"),
        ("webhook_events: done", "'webhook_events' is given without webhook"),
        (
            "webhook: 'https://a.example', webhook_events: partial",
            "'webhook_events' is 'partial'; allowed: any of final",
        ),
        ("webhook: 'https://a.example', webhook_events: ''", "'webhook_events' is ''"),
    ],
)
def test_bad_webhook_of_a_key_is_told_by_its_line(text: str, complaint: str) -> None:
    with pytest.raises(StartupError) as refused:
        key_with(text)
    assert complaint in str(refused.value)


def test_webhook_of_a_key_must_have_an_effect() -> None:
    key = key_with("webhook: 'https://10.1.2.3/'")
    with pytest.raises(StartupError, match=r"The webhook of the key anna is not allowed: .* not public"):
        rules().check_key(key)
    rules(allow=("10.0.0.0/8",)).check_key(key)
    with pytest.raises(StartupError, match=r"The key anna has a webhook, which needs the setting webhooks\.enabled"):
        rules(enabled=False).check_key(key)
