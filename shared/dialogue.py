"""The text of a session whose channels are separate: the segments by where they begin, one line for each turn. Pure.

A turn is a run of segments of one channel.
"""

from collections.abc import Iterable
from itertools import groupby
from typing import NamedTuple

from shared.seams import joined


class Said(NamedTuple):
    """The text of one segment."""

    start: float
    """In any unit."""
    channel: int
    text: str


def dialogue(segments: Iterable[Said], *, labelled: bool = False) -> str:
    """The turns, one a line, with the names of their channels if `labelled`. Segments without text are ignored."""
    spoken = sorted((one for one in segments if one.text), key=lambda one: (one.start, one.channel))
    turns = [(channel, joined(one.text for one in turn)) for channel, turn in groupby(spoken, key=_channel)]
    return "\n".join(f"{label(channel)}: {text}" if labelled else text for channel, text in turns)


def _channel(said: Said) -> int:
    return said.channel


def label(channel: int) -> str:
    """The name of a channel in texts for people."""
    return f"Channel {channel}"
