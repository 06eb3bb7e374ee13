"""Inserts the names that Lua and Python share into the text of a script.

A script contains `$name`. `$may_claim` and the like are conditions that `shared.bus.states` makes from its table.
"""

from string import Template
from typing import Final

from shared.bus import keys, messages
from shared.bus.messages import ControlWord, EntryField, EventKind
from shared.bus.states import OWNED, Move, SessionState, lua_condition, lua_membership

NOW: Final = "local t = redis.call('TIME'); local now = t[1] * 1000 + math.floor(t[2] / 1000); "
"""Begins a script that needs `now`: the time by Redis' own clock, ms."""

NAMES: Final[dict[str, str]] = {
    **{state.value: state.value for state in SessionState},
    **{f"may_{move.value}": lua_condition(move) for move in (Move.CLAIM, Move.RENEW, Move.OFFER, Move.END)},
    "is_owned": lua_membership(OWNED),
    "attach": ControlWord.ATTACH.value,
    "detach": ControlWord.DETACH.value,
    "end": ControlWord.END.value,
    "slot_mark": keys.SLOT_MARK,
    "control_field": EntryField.CONTROL.value,
    "report_field": messages.REPORT_FIELD,
    "event_field": messages.EVENT_FIELD,
    "epoch_field": messages.EPOCH_FIELD,
    "final_kind": EventKind.FINAL.value,
    "labels_kind": EventKind.LABELS.value,
    "revised_kind": EventKind.REVISED.value,
    "line_break": r"\n",
    "nothing_committed": messages.NOTHING_COMMITTED,
    "progress_message": messages.PROGRESS,
    "attached_message": messages.ATTACHED,
    "error_message": messages.ERROR,
    **{f"webhook_{one.name.lower()}": one.value for one in messages.WebhookField},
}


def named(script: str, **more: object) -> str:
    """The script with its names inserted. Raises KeyError for an unknown name."""
    return Template(script).substitute(NAMES, **more)
