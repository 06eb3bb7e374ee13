"""When a failed delivery is attempted again."""

import pytest

from shared.config.webhooks import WebhookSettings
from shared.webhooks.schedule import JITTER, LONGEST_S, MARGIN_S, Backoff, retry_after_s


def test_pauses_grow_fourfold_up_to_a_limit_with_jitter() -> None:
    backoff = Backoff(WebhookSettings(attempts=20, first_retry_s=5))
    for attempt in range(1, 20):
        exact_s = min(LONGEST_S, 5 * 4 ** (attempt - 1))
        pauses = [backoff.pause_s(attempt) or 0 for _ in range(50)]
        assert (
            min(LONGEST_S, exact_s * (1 - JITTER))
            <= min(pauses)
            < max(pauses)
            <= min(LONGEST_S, exact_s * (1 + JITTER))
        )
    assert backoff.pause_s(20) is None


def test_defaults_take_less_than_a_day() -> None:
    assert 12 * 3600 < Backoff(WebhookSettings()).kept_s < 24 * 3600
    assert Backoff(WebhookSettings(attempts=1)).pause_s(1) is None


def test_receiver_lengthens_a_pause_within_bounds() -> None:
    backoff = Backoff(WebhookSettings())
    assert backoff.pause_s(1, 60.0) == 60
    assert backoff.pause_s(1, 10**9) == LONGEST_S
    assert (backoff.pause_s(1, 0.0) or 0) >= 5 * (1 - JITTER)
    assert backoff.pause_s(11, 60.0) is None


def test_last_attempt_sends_a_request_while_the_event_is_kept() -> None:
    backoff = Backoff(WebhookSettings(attempts=1))
    pauses = [backoff.pause_s(attempt, unsent_for_s=10.0) or 0 for attempt in (1, 2, 3)]
    assert 0 < pauses[0] < pauses[1] < pauses[2]
    assert backoff.pause_s(1, unsent_for_s=backoff.kept_s) is None
    assert Backoff(WebhookSettings(attempts=2)).pause_s(1, unsent_for_s=10**9), "another attempt follows anyway"


@pytest.mark.parametrize("attempts", [2, 3, 6, 20])
def test_event_is_kept_longer_than_any_pause(attempts: int) -> None:
    backoff = Backoff(WebhookSettings(attempts=attempts))
    assert all(backoff.kept_s >= MARGIN_S + (backoff.pause_s(one, 10**9) or 0) for one in range(1, attempts))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("120", 120),
        ("99999999999999999999", 9999999999),
        ("-1", None),
        ("soon", None),
        ("", None),
        ("١", None),
        ("Thu, 01 Jan 1970 00:16:50 GMT", 10),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, expected: float | None) -> None:
    assert retry_after_s(value, 1000) == expected
