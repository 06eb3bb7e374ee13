"""When a failed delivery is attempted again: exponential back-off with jitter, within bounds. Pure, without a clock."""

import random
from email.utils import parsedate_to_datetime
from typing import Final

from shared.config.webhooks import WebhookSettings

FACTOR: Final = 4.0
LONGEST_S: Final = 4 * 3600.0
MARGIN_S: Final = 3600.0
"""Besides the pauses: the time for which no process may be sending."""
JITTER: Final = 0.25
"""Each pause is shortened or lengthened by up to this share, so that events that failed together do not return
together."""


class Backoff:
    def __init__(self, settings: WebhookSettings) -> None:
        self._first_s = settings.first_retry_s
        self._attempts = settings.attempts

    def pause_s(
        self, attempt: int, retry_after_s: float | None = None, *, unsent_for_s: float | None = None
    ) -> float | None:
        """The pause after this attempt, counted from 1, has failed; None if it was the last one.

        `retry_after_s` is what the receiver requests. It lengthens the pause up to `LONGEST_S`, and never shortens it.
        `unsent_for_s` is the age of an event for which this attempt has sent no request. Others then follow the last
        one, for as long as an event is kept.
        """
        pause_s = self._exact_s(attempt) * (1 + JITTER * random.uniform(-1, 1))
        pause_s = min(LONGEST_S, max(pause_s, retry_after_s or 0.0))
        continues = unsent_for_s is not None and unsent_for_s + pause_s <= self.kept_s
        return pause_s if attempt < self._attempts or continues else None

    @property
    def kept_s(self) -> float:
        """How long an event is kept after it was read, and after each attempt, if no process attempts to send it.

        Longer than any pause, which a receiver may lengthen.
        """
        if self._attempts == 1:
            return MARGIN_S
        return MARGIN_S + max(LONGEST_S, (1 + JITTER) * sum(map(self._exact_s, range(1, self._attempts))))

    def _exact_s(self, attempt: int) -> float:
        return min(LONGEST_S, self._first_s * FACTOR ** min(attempt - 1, 20))


def retry_after_s(value: str | None, now_s: float) -> float | None:
    """The seconds of a header `Retry-After`, which holds them or a date (RFC 9110); None if it holds neither.

    `now_s` is Unix time.
    """
    if value is None:
        return None
    if value.isascii() and value.isdigit():
        return float(value[:10])
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now_s)
    except (ValueError, OverflowError):
        return None
