"""The principal of a request: an API key with its limits, a client token made with one, or anybody if keys are off."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from shared.webhooks.webhook import Webhook


@dataclass(frozen=True, slots=True)
class Limits:
    """What one key may use, over all frontends. None means no limit."""

    sessions: int | None = None
    """At the same time, live ones and recordings together."""
    audio_s_per_minute: int | None = None
    requests_per_minute: int | None = None
    upload_bytes: int | None = None
    """Of one recording."""


@dataclass(frozen=True, slots=True)
class Key:
    """An API key as the service keeps it: without the key itself."""

    name: str
    digest: str = field(repr=False)
    """SHA-256 of the key, in hex."""
    expires_at_s: float | None = None
    """Unix time."""
    limits: Limits = Limits()
    is_operator: bool = False
    """Whether it may view and end all sessions, and drain workers, on the operators' page."""
    webhook: Webhook | None = None
    """Where events of its sessions are sent, unless a session names another webhook."""


@dataclass(frozen=True, slots=True)
class Principal:
    """The identity of a client. Created only by `Access`."""

    name: str
    key: Key | None = None
    """None if keys are off."""
    is_client_token: bool = False
    """Whether a short-lived token was presented, which may do less than the key it was made with."""
    session: Mapping[str, Any] | None = None
    """The session that a client token was made for, as the request for the token described it."""

    @property
    def key_name(self) -> str | None:
        """For logs; None if keys are off."""
        return None if self.key is None else self.name


ANONYMOUS: Final = Principal("anonymous")
"""Every client, if keys are off."""
