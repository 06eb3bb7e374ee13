"""docs/operations.md lists the metrics that exist, and log events that are logged."""

import re
from typing import Final

from frontend.monitoring.prometheus import prometheus_text
from tests.stack import PROJECT

PAGE: Final = (PROJECT / "docs" / "operations.md").read_text()
TROUBLESHOOTING: Final = (PROJECT / "docs" / "troubleshooting.md").read_text()
SOURCES: Final = ("frontend", "worker", "shared", "compose")


def section(title: str) -> str:
    return PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]


def logged() -> set[str]:
    """The first argument of each call of a logger, and the `event` that a caller names to a function that logs."""
    sources = (path.read_text() for name in SOURCES for path in (PROJECT / name).rglob("*.py"))
    call = re.compile(r"(?:log\.(?:debug|info|warning|error|critical|log)\(\s*(?:[^\"()]*,\s*)?|\bevent=)\"(\w+)\"")
    return {event for source in sources for event in call.findall(source)}


def test_every_metric_is_listed_and_exists() -> None:
    text = prometheus_text([], [], redis_up=True, ready=True).decode()
    exposed = set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))
    assert set(re.findall(r"`((?:voxtral|process)_\w+)`", section("Metrics"))) == exposed


def test_deprecated_metrics_say_so_in_their_help() -> None:
    text = prometheus_text([], [], redis_up=True, ready=True).decode()
    deprecated = set(re.findall(r"^# HELP (\w+) Deprecated", text, re.MULTILINE))
    rows = re.findall(r"^\| (.*?) \|", section("Metrics").partition("### Deprecated\n")[2], re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(voxtral_\w+)`", row)} == deprecated


def test_events_in_the_tables_are_logged() -> None:
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", section("Logs"), re.MULTILINE)
    events = {event for row in rows for event in re.findall(r"`(\w+)`", row)}
    rows = re.findall(r"^\| ([^|]*) in the log(?: as a warning)? \|", TROUBLESHOOTING, re.MULTILINE)
    events |= {event for row in rows for event in re.findall(r"`(\w+)`", row)}
    assert len(events) > 15
    assert events <= logged()
