"""The finals of a session whose channels are separate, as documents present them. Pure.

Finals of such a session arrive as they settle; documents have them by where they begin.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from frontend.transcripts.turns import has_speakers, label, labelled_text, turns
from shared.dialogue import Said, dialogue
from shared.seams import joined
from voxtral_client.events import Final


def is_dialogue(finals: Iterable[Final]) -> bool:
    """Whether the finals are of separate channels."""
    return any(final.channel is not None for final in finals)


def by_time(finals: Sequence[Final]) -> Sequence[Final]:
    """The finals by where they begin; unchanged if the channels are not separate."""
    return sorted(finals, key=lambda final: (final.start_s, final.channel or 0)) if is_dialogue(finals) else finals


def said(finals: Iterable[Final]) -> Iterator[Said]:
    """The finals for `shared.dialogue`."""
    return (Said(final.start_s, final.channel or 0, final.text) for final in finals)


def plain_text(finals: Sequence[Final]) -> str:
    """A line for each final; of separate channels a line for each turn, with the name of its speaker or channel."""
    if not is_dialogue(finals):
        return labelled_text(finals)
    if has_speakers(finals):
        spoken = (turn for final in by_time(finals) for turn in turns(final) if turn.text)
        return "".join(f"{name}: {joined(turn.text for turn in run)}\n" for name, run in groupby(spoken, key=label))
    return f"{text}\n" if (text := dialogue(said(finals), labelled=True)) else ""


def channel_of(final: Final) -> dict[str, Any]:
    """The field of a segment for its channel; no field if the channels are not separate."""
    return {} if final.channel is None else {"channel": final.channel}
