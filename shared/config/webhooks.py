"""The settings of what the service sends to servers of clients."""

from enum import StrEnum
from pathlib import Path

from pydantic import Field, SecretStr, field_validator

from shared.config.section import Section
from shared.outgoing.addresses import AllowList


class OutgoingSettings(Section):
    """Requests of the service to URLs that its clients choose."""

    allow: tuple[str, ...] = Field(
        (), description="a list of names and networks such as [receiver.internal, '*.internal', 10.0.0.0/8]"
    )
    """Hosts that such URLs may name although they are not public, with any port and without TLS, and networks that
    names may resolve to."""

    @field_validator("allow")
    @classmethod
    def _entries_are_hosts(cls, allow: tuple[str, ...]) -> tuple[str, ...]:
        AllowList(allow)
        return allow


class WebhookClients(StrEnum):
    """The clients that may name a webhook for their session."""

    NONE = "none"
    """Only the list of keys names webhooks."""
    KEYS = "keys"
    """Clients that present an API key; not those with a client token, which browsers have."""
    ALL = "all"


class WebhookSettings(Section):
    """Events of sessions that are sent to servers of clients."""

    enabled: bool = False
    """Whether events are sent, by a process of its own."""
    clients: WebhookClients = Field(WebhookClients.KEYS, description=", ".join(WebhookClients))
    """Who may name a webhook for a session."""
    secret: SecretStr | None = Field(None, description="whsec_ and base64, as `voxtral webhooks new-secret` prints it")
    """Signs what is sent, see `shared.webhooks.signing`. It, or `secret_file`, is needed if webhooks are enabled."""
    secret_file: Path | None = None
    """A file that holds it."""
    attempts: int = Field(11, ge=1, le=20)
    """How often an event is sent until a receiver accepts it."""
    first_retry_s: float = Field(5, ge=0.1, le=3600)
    """The pause after the first attempt. Each one after it is four times as long, 4 h at most."""
    timeout_s: float = Field(10, gt=0, le=60)
    """Time limit of each attempt, including the resolution of the name."""
    max_pending: int = Field(20_000, ge=1)
    """Events of all sessions that wait to be sent; further ones are dropped. Each takes a few kilobytes of Redis."""
    concurrency: int = Field(16, ge=1, le=256)
    """Attempts that one process makes at the same time."""
