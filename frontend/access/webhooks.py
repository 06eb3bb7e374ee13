"""Which webhook a session has: that of its client, if the client may name one, or that of its API key."""

from typing import Final

from frontend.access.principal import Key, Principal
from shared.config.settings import Settings
from shared.config.webhooks import WebhookClients
from shared.errors import InvalidFieldError, StartupError
from shared.outgoing.addresses import AllowList, RefusedUrlError
from shared.session_options import SessionOptions
from shared.webhooks.schedule import Backoff
from shared.webhooks.webhook import ALL, SERVICE, Webhook, events_of

HIDDEN: Final = "…"
"""Replaces a URL in errors: it may hold secrets."""


class WebhookRules:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings.webhooks
        self._allowed = AllowList(settings.outgoing.allow)
        self.kept_s = Backoff(settings.webhooks).kept_s
        """How long an event may wait to be delivered."""

    def check_key(self, key: Key) -> None:
        """Raise StartupError for a key whose webhook would have no effect."""
        if key.webhook is None:
            return
        if not self._settings.enabled:
            raise StartupError(f"The key {key.name} has a webhook, which needs the setting webhooks.enabled.")
        try:
            self._allowed.target(key.webhook.url)
        except RefusedUrlError as error:
            raise StartupError(f"The webhook of the key {key.name} is not allowed: {error}.") from None

    def chosen(self, options: SessionOptions, principal: Principal, key: Key | None) -> Webhook | None:
        """The webhook of a new session; None if it has none. `key` is the principal's, with its current fields.

        Raises InvalidFieldError for options that are not allowed.
        """
        wanted = None if options.webhook_events is None else events_of(options.webhook_events)
        if options.webhook is not None:
            self._check(options.webhook, principal)
            return Webhook(options.webhook, wanted or ALL, SERVICE if key is None else key.name)
        of_key = None if key is None else key.webhook
        if of_key is None and wanted is not None:
            raise InvalidFieldError(
                "webhook_events", [str(one) for one in wanted], "nothing if the session has no webhook"
            )
        if of_key is None or wanted is None:
            return of_key
        return Webhook(of_key.url, wanted, of_key.key_name)

    def _check(self, url: str, principal: Principal) -> None:
        reason = self._refusal(principal)
        if reason is None:
            try:
                self._allowed.target(url)
            except RefusedUrlError as error:
                reason = f"https URLs of public hosts: {error}"
        if reason is not None:
            raise InvalidFieldError("webhook", HIDDEN, reason)

    def _refusal(self, principal: Principal) -> str | None:
        """Why this client may not name a webhook; None if it may."""
        if not self._settings.enabled:
            return "nothing: this service sends no webhooks"
        if self._settings.clients is WebhookClients.ALL:
            return None
        if self._settings.clients is WebhookClients.NONE:
            return "nothing: in this service only the list of keys names webhooks"
        if principal.key is None or principal.is_client_token:
            return "nothing for clients that present no API key"
        return None
