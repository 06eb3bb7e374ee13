"""Who asks: an API key with its limits, a client token that stems from one, or anybody where keys are off."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Limits:
    """What one key may use, over all frontends. None is without limit."""

    sessions: int | None = None
    """At the same time, live ones and recordings together."""
    audio_s_per_minute: int | None = None
    requests_per_minute: int | None = None
    upload_bytes: int | None = None
    """Of one recording."""


@dataclass(frozen=True, slots=True)
class Key:
    """An API key as it is kept: without the key itself."""

    name: str
    digest: str = field(repr=False)
    """SHA-256 of the key, in hex."""
    expires_at_s: float | None = None
    """Unix time."""
    limits: Limits = Limits()


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks, as far as the service is concerned. Made by `Access` only."""

    name: str
    key: Key | None = None
    """None where keys are off."""
    is_client_token: bool = False
    """Whether it came with a short-lived token, which may do less than the key it stems from."""
    session: Mapping[str, Any] | None = None
    """The session that a client token was made for, in the words of whoever asked for the token."""

    @property
    def key_name(self) -> str | None:
        """For logs; None where keys are off."""
        return None if self.key is None else self.name


ANONYMOUS: Final = Principal("anonymous")
"""Anybody, where keys are off."""
