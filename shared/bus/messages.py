"""The names that frontends, workers and the Lua scripts exchange through Redis, besides keys and session states.

Lua gets them from here too: see `shared.bus.lua.names`.
"""

from enum import StrEnum
from typing import Final


class ControlWord(StrEnum):
    """A control entry in a session's audio stream."""

    COMMIT = "commit"
    """End the open segment here."""
    END = "end"
    """No more audio follows."""
    CONFIGURE = "configure"
    """Use the options in the entry's argument from here on."""
    ATTACH = "attach"
    """A connection has started or resumed the session."""
    DETACH = "detach"
    """The client is gone, and may resume the session."""


class EntryField(StrEnum):
    """The fields of an entry in a session's audio stream."""

    AUDIO = "a"
    """PCM, s16le, 16 kHz, one sample of each track after another."""
    CONTROL = "c"
    ARGUMENT = "v"
    ARRIVED = "t"
    """Wall clock of the frontend when the last byte arrived, ms."""


class WorkerMessage(StrEnum):
    """The field of an entry in a worker's control stream. Its value is a session id, unless another is named."""

    WAKE = "wake"
    """Only ends the blocking read."""
    CANCEL = "cancel"
    """The session has been erased."""
    GIVE_WAY = "give_way"
    """Another session has taken the slot of this one."""
    EMBED = "embed"
    """Embed a voice. The value is the id of the request, see `shared.bus.voices`."""
    END = "end"
    """An operator ends the session. Its text stays until it expires."""
    DRAIN = "drain"
    """An operator drains the worker. The value is the id of the worker."""


class WebhookField(StrEnum):
    """The fields of the hash of a session's webhook."""

    TARGET = "target"
    """The webhook as JSON."""
    FINALS = "finals"
    """How many of the session's finals were read."""
    ENDED = "ended"
    """Exists if no event follows those that are stored."""
    EVENT = "e:"
    """Followed by the number of an event: the body that is sent. It is deleted when it is delivered or given up."""
    ATTEMPTS = "a:"
    """The same: how many attempts to send it have failed."""


class EventKind(StrEnum):
    """How `write` stores an event."""

    FINAL = "f"
    LABELS = "s"
    """Who spoke in past finals."""
    REVISED = "r"
    """The kind of an event that replaces a final: this letter and the index of the final in the list of finals. Its
    payload has two lines: the event, and the new entry of the list."""
    OTHER = "e"


REPORT_FIELD: Final = "report"
"""The field of a heartbeat's hash: a report as JSON."""
EPOCH_FIELD: Final = "epoch"
"""The field of the service's totals that changes if Redis has lost them."""
EVENT_FIELD: Final = "e"
"""The field of an entry in the event log: the event as JSON."""
NOTHING_COMMITTED: Final = "-"
"""Removes the committed text of a segment, since its final has been written."""

PROGRESS: Final = '{"type":"progress"'
"""How a message about consumed audio begins on a session's channel. It is not logged."""
ATTACHED: Final = '{"type":"attached"'
"""The same for a message about a new connection of the session."""
ERROR: Final = '{"type":"error"'
