"""What `voxtral status` shows."""

from frontend.cli.status import latency_text


def test_latency_without_text_is_not_said_to_be_zero() -> None:
    assert latency_text({"p50": 0.0, "p95": 0.0, "p99": 0.0}) == "no live text in the last minute"
    assert latency_text({"p50": 0.4, "p95": 80.0, "p99": 90.6}) == "0 / 80 / 91 ms (p50 / p95 / p99)"
