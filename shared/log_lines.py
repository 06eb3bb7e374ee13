"""Rules for log lines: no secrets, no control characters, bounded length, and a limited rate.

Plain functions and one counter; knows nothing of handlers and files (that is `shared.logs`).
"""

import re
from collections.abc import Mapping
from itertools import islice

from structlog.typing import EventDict, WrappedLogger

MASK = "********"
VALUE_LIMIT_CHARS = 500
TRACEBACK_LIMIT_CHARS = 8000
"""The end of a traceback is kept, since it holds the cause."""
ITEMS_LIMIT = 20
DEPTH_LIMIT = 3
LINES_PER_WINDOW = 20
WINDOW_S = 10.0
KEYS_LIMIT = 5000

_SECRET_WORDS = frozenset(
    {"apikey", "auth", "authorization", "cookie", "credentials", "key", "passwd", "password", "secret", "token"}
)
_URL_CREDENTIALS = re.compile(r"(?<=://)[^/\s]*@")
"""Up to the last @: a password may contain others."""
_CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_CONTROL_BUT_LAYOUT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def clean(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """A structlog processor: masks secrets and shortens long values. `_record` and the like stay."""
    return {key: value if key.startswith("_") else _cleaned_field(key, value) for key, value in line.items()}


class RateLimiter:
    """Admits the first lines of each kind in a window, and then reports how many it suppressed."""

    def __init__(self, lines: int = LINES_PER_WINDOW, window_s: float = WINDOW_S) -> None:
        self._lines = lines
        self._window_s = window_s
        self._window_start_s = float("-inf")
        self._counts: dict[tuple[str, ...], int] = {}

    def admits(self, kind: tuple[str, ...]) -> bool:
        if kind not in self._counts and len(self._counts) >= KEYS_LIMIT:
            kind = ("other",)
        self._counts[kind] = self._counts.get(kind, 0) + 1
        return self._counts[kind] <= self._lines

    def turn_window(self, now_s: float) -> dict[tuple[str, ...], int]:
        """Number of suppressed lines in the window that has just ended, by kind; empty while the window lasts."""
        if now_s - self._window_start_s < self._window_s:
            return {}
        held_back = {kind: count - self._lines for kind, count in self._counts.items() if count > self._lines}
        self._counts.clear()
        self._window_start_s = now_s
        return held_back


def _cleaned_field(key: str, value: object) -> object:
    if key in {"exception", "stack"}:
        return _CONTROL_BUT_LAYOUT.sub(_escaped, _masked_urls(str(value)[-TRACEBACK_LIMIT_CHARS:]))
    return _cleaned(key, value, DEPTH_LIMIT)


def _cleaned(name: str, value: object, depth: int) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if _names_a_secret(name):
        return MASK
    if isinstance(value, Mapping) and depth:
        items = islice(value.items(), ITEMS_LIMIT)
        return {_text(key): _cleaned(str(key), item, depth - 1) for key, item in items}
    if isinstance(value, list | tuple | set | frozenset) and depth:
        return [_cleaned(name, item, depth - 1) for item in islice(value, ITEMS_LIMIT)]
    return _text(value)


def _names_a_secret(name: str) -> bool:
    """True for `api_key` and `token`, false for `tokens` (a count, a list of words)."""
    return not _SECRET_WORDS.isdisjoint(re.split(r"[^a-z]+", name.lower()))


def _text(value: object) -> str:
    if isinstance(value, str):
        text = value
    elif isinstance(value, bytes | bytearray):
        text = repr(bytes(value[:VALUE_LIMIT_CHARS]))
    elif isinstance(value, Mapping | list | tuple | set | frozenset):
        text = f"<{type(value).__name__} of {len(value)}>"
    else:
        text = repr(value)
    # Shortened twice: a URL that the first cut splits is far beyond the second.
    text = _CONTROL_CHARACTERS.sub(_escaped, _masked_urls(text[: 8 * VALUE_LIMIT_CHARS]))
    return text if len(text) <= VALUE_LIMIT_CHARS else text[: VALUE_LIMIT_CHARS - 1] + "…"


def _masked_urls(text: str) -> str:
    return _URL_CREDENTIALS.sub(f"{MASK}@", text)


def _escaped(match: re.Match[str]) -> str:
    return match.group().encode("unicode_escape").decode("ascii")
