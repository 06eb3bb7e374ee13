"""The list of keys as people write it, and the key ring that is built from it. No I/O.

A list in YAML, one key a line, as `voxtral keys new` prints them:

    - {name: anna, sha256: 9f86…, expires: 2027-01-31, sessions: 4, audio_s_per_minute: 240}

Every error names the line and the field.
"""

import hmac
import re
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Final

import yaml

from frontend.access.principal import Key, Limits
from frontend.access.tokens import MAX_KEY_CHARS, digest
from shared.errors import StartupError, shown
from shared.outgoing.addresses import RefusedUrlError, read_url
from shared.webhooks.webhook import ALL, Webhook, WebhookEvent, events_of

MAX_LIST_BYTES: Final = 1024 * 1024
MAX_KEYS: Final = 2000
MAX_LIMIT: Final = 10**12
LIMITS: Final = ("sessions", "audio_s_per_minute", "requests_per_minute", "upload_bytes")
FIELDS: Final = ("name", "sha256", "expires", "operator", "webhook", "webhook_events", *LIMITS)

_LOOKUP_CHARS: Final = 8
NAME_ALLOWED: Final = "1 to 64 letters, digits, dots, dashes and underscores"
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


class KeyRing:
    """The keys that one reading of the lists gave. Immutable."""

    def __init__(self, keys: Iterable[Key]) -> None:
        self._keys = {key.name: key for key in keys}
        self._by_start: dict[str, list[Key]] = {}
        for key in self._keys.values():
            self._by_start.setdefault(key.digest[:_LOOKUP_CHARS], []).append(key)

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, presented: str) -> Key | None:
        """The key that was presented, expired or not.

        The few digests with the same first characters are compared in constant time. The time of the lookup by those
        characters reveals nothing useful: to aim at a digest, an attacker would need to invert SHA-256 of a random key.
        """
        if len(presented) > MAX_KEY_CHARS:
            return None
        presented_digest = digest(presented)
        matching = [
            key
            for key in self._by_start.get(presented_digest[:_LOOKUP_CHARS], ())
            if hmac.compare_digest(key.digest, presented_digest)
        ]
        return matching[0] if matching else None

    def named(self, name: str) -> Key | None:
        """The key with this name; None if it is missing or has expired."""
        held = self._keys.get(name)
        return None if held is None or is_expired(held) else held

    def current(self, key: Key) -> Key | None:
        """The same key as it is in this ring, perhaps with other limits; None if it is missing or has expired."""
        held = self._keys.get(key.name)
        if held is None or not hmac.compare_digest(held.digest, key.digest):
            return None
        return None if is_expired(held) else held


def is_key_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None


def is_expired(key: Key) -> bool:
    return key.expires_at_s is not None and key.expires_at_s <= time.time()


def parse_keys(text: str, source: str) -> list[Key]:
    """The keys of a list; `source` is its name in errors. Raises StartupError that names line and field."""
    if len(text) > MAX_LIST_BYTES:
        raise StartupError(f"{source} is longer than {MAX_LIST_BYTES} characters.")
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise StartupError(f"{source}{line} is not YAML: {error.problem}.") from None
    except (yaml.YAMLError, ValueError):  # ValueError: an escape such as "\U00110000"
        raise StartupError(f"{source} is not YAML: it contains characters that YAML does not allow.") from None
    except RecursionError:
        raise StartupError(f"{source} is not a list of keys: it is nested too deeply.") from None
    if root is None:
        raise StartupError(f"{source} is empty; write [] for a list without keys, which admits no client.")
    if not isinstance(root, yaml.SequenceNode):
        raise StartupError(f"{source} is not a list; allowed: lines such as `- {{name: anna, sha256: …}}`.")
    if len(root.value) > MAX_KEYS:
        raise StartupError(f"{source} contains {len(root.value)} keys; at most {MAX_KEYS} are allowed.")
    return [_Entry(node, source).key() for node in root.value]


def joined(keys: Iterable[Key]) -> KeyRing:
    """A ring of all keys. Raises StartupError if two have the same name or the same digest."""
    kept: list[Key] = []
    names: set[str] = set()
    digests: set[str] = set()
    for key in keys:
        if key.name in names:
            raise StartupError(f"Two keys have the name {shown(key.name)}; use each name only once.")
        if key.digest in digests:
            raise StartupError(f"The key {shown(key.name)} has the sha256 of another key; list each key only once.")
        names.add(key.name)
        digests.add(key.digest)
        kept.append(key)
    return KeyRing(kept)


class _Entry:
    """One item of the list. Values are read as they are written; YAML's own types (numbers, dates) are ignored."""

    def __init__(self, node: yaml.Node, source: str) -> None:
        self._source = source
        self._line = node.start_mark.line + 1
        self._texts: dict[str, str] = {}
        if not isinstance(node, yaml.MappingNode):
            raise StartupError(f"{source}, line {self._line} is not a key; allowed: {{name: anna, sha256: …}}.")
        for name, value in self._scalars(node):
            if name in self._texts:
                raise self._complaint(name, "given twice", "once")
            if name not in FIELDS:
                raise self._complaint(name, "unknown", f"the fields {', '.join(FIELDS)}")
            self._texts[name] = value

    def key(self) -> Key:
        name = self._matching("name", _NAME, NAME_ALLOWED)
        return Key(
            name=name,
            digest=self._matching("sha256", _DIGEST, "the 64 hex digits that `voxtral keys new` prints"),
            expires_at_s=self._optional("expires", _unix_time, "a time such as 2027-01-31 or 2027-01-31T12:00:00Z"),
            is_operator=self._optional("operator", _flag, "true or false") or False,
            limits=Limits(
                **{limit: self._optional(limit, _limit, f"a whole number from 1 to {MAX_LIMIT}") for limit in LIMITS}
            ),
            webhook=self._webhook(name),
        )

    def _webhook(self, key_name: str) -> Webhook | None:
        events = self._optional("webhook_events", _events, f"any of {', '.join(ALL)}, separated by spaces")
        url = self._texts.get("webhook")
        if url is None:
            if events is not None:
                raise self._complaint("webhook_events", "given without webhook", "webhook and webhook_events")
            return None
        try:
            read_url(url)
        except RefusedUrlError as error:
            raise self._complaint(
                "webhook", "no such URL", f"a URL such as https://receiver.example/hook: {error}"
            ) from None
        return Webhook(url, events or ALL, key_name)

    def _scalars(self, node: yaml.MappingNode) -> Iterator[tuple[str, str]]:
        for name, value in node.value:
            if not isinstance(name, yaml.ScalarNode):
                raise self._complaint("?", "not a name", f"the fields {', '.join(FIELDS)}")
            self._line = name.start_mark.line + 1
            if not isinstance(value, yaml.ScalarNode):
                raise self._complaint(name.value, "a list or a mapping", "one value")
            yield name.value, value.value

    def _matching(self, field: str, pattern: re.Pattern[str], allowed: str) -> str:
        text = self._texts.get(field)
        if text is None:
            raise self._complaint(field, "missing", allowed)
        if not pattern.fullmatch(text):
            # A key that somebody pasted instead of its hash must not get into a log.
            raise self._complaint(field, "not a SHA-256" if field == "sha256" else shown(text), allowed)
        return text

    def _optional(self, field: str, convert: Callable[[str], Any], allowed: str) -> Any:
        text = self._texts.get(field)
        if text is None:
            return None
        try:
            return convert(text)
        except ValueError:
            raise self._complaint(field, shown(text), allowed) from None

    def _complaint(self, field: str, what: str, allowed: str) -> StartupError:
        return StartupError(f"{self._source}, line {self._line}: {shown(field)} is {what}; allowed: {allowed}.")


def _limit(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,13}", text) or not 1 <= int(text) <= MAX_LIMIT:
        raise ValueError("not a limit")
    return int(text)


def _flag(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("not a flag")
    return text == "true"


def _events(text: str) -> tuple[WebhookEvent, ...]:
    events = events_of(text.replace(",", " ").split())
    if len(events) != len(set(text.replace(",", " ").split())) or not events:
        raise ValueError("not events")
    return events


def _unix_time(text: str) -> float:
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
