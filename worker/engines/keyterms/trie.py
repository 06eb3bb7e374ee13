"""The tokens of key terms as a trie, whose paths a model's next token may follow.

A token that continues a path gains what the path has gained so far and its own part. A token that leaves the path
gains nothing, so an abandoned path has no effect on the text, as if its gain were taken back. A completed term keeps
its gain.
Pure; `boosting` does the same for many rows on a device.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.session_options import KeyTerm

INSIDE: Final = 0
"""The state after a token that no term continues: only a token that begins with a space starts a word."""
AT_START: Final = 1
"""The state before the first token of a word, with or without the space."""
FIRST_NODE: Final = 2
ANYWHERE: Final = -1
"""The source of arcs that exist in every state: their tokens begin with a space."""
NOWHERE: Final = -2
"""The source of arcs that exist in no state: the rest of a table."""
MAX_ARCS: Final = 8192
"""200 terms in all their forms; of longer terms, the forms that the client has not written are left out first."""
FORM_SHARE: Final = 0.5
"""What a form in another case gains, as a share of the term's boost."""
OPENING: Final = (
    "(",
    '"',
    "“",
    "«",
    "„",
    "[",
    "/",
    "-",
    "\n",
    " (",
    ' "',
    " “",
    " «",
    " „",
    " [",
    "¿",
    " ¿",
    "¡",
    " ¡",
)
"""Text after which a word starts without a space."""


class After(IntEnum):
    """What follows a token that continues no path."""

    INSIDE = 0
    OPENS = 1
    """A word may start at once."""
    SAME = 2
    """No text: an open path stays open."""
    MARKER = 3
    """No text, but a word starts; an open path stays open."""


@dataclass(frozen=True, eq=False)
class Trie:
    """Arcs as flat arrays, `[arcs]`. States of longer paths have higher numbers."""

    sources: NDArray[np.int64]
    tokens: NDArray[np.int64]
    targets: NDArray[np.int64]
    gains: NDArray[np.float32]
    """What a token gains in comparison with any token that leaves the path."""
    after: NDArray[np.int8]
    """`After` by token."""
    _targets: dict[tuple[int, int], int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        arcs = zip(self.sources.tolist(), self.tokens.tolist(), self.targets.tolist(), strict=True)
        object.__setattr__(self, "_targets", {(source, token): target for source, token, target in arcs})

    def step(self, state: int, token: int) -> int:
        """The state after a token."""
        found = [self._targets.get((source, token), -1) for source in (state, ANYWHERE)]
        if max(found) >= 0:
            return max(found)
        after = self.after[token]
        if after == After.SAME or (after == After.MARKER and state >= FIRST_NODE):
            return state
        return INSIDE if after == After.INSIDE else AT_START


class Tries:
    """Makes tries with the tokens of one vocabulary. Sessions with the same terms share one."""

    def __init__(self, encode: Callable[[str], Sequence[int]], after: Callable[[], NDArray[np.int8]]) -> None:
        """`after`: called once, for the first session with terms."""
        self._encode = encode
        self._after = lru_cache(maxsize=1)(after)
        self._made = lru_cache(maxsize=64)(self._make)

    def of(self, terms: tuple[KeyTerm, ...] | None) -> Trie | None:
        return self._made(terms) if terms else None

    def _make(self, terms: tuple[KeyTerm, ...]) -> Trie | None:
        paths = _Paths()
        for form in range(len(_forms(""))):
            for one in terms:
                text = _forms(one.term)[form]
                boost = one.boost * (FORM_SHARE if text != one.term else 1.0)
                if boost > 0:
                    paths.add(ANYWHERE, self._encode(f" {text}"), boost)
                    paths.add(AT_START, self._encode(text), boost)
        return paths.trie(self._after()) if paths.children else None


def after_tokens(
    count: int, special: int, encode: Callable[[str], Sequence[int]], markers: Sequence[int] = ()
) -> NDArray[np.int8]:
    """`After` by token of a vocabulary whose first `special` tokens have no text."""
    after = np.full(count, After.INSIDE, np.int8)
    after[:special] = After.SAME
    after[list(markers)] = After.MARKER
    for text in OPENING:
        tokens = encode(text)
        if len(tokens) == 1:
            after[tokens[0]] = After.OPENS
    return after


def gained(boost: float, depth: int) -> float:
    """What a path has gained after so many tokens: each adds half of what the one before has added. Below 2 × boost."""
    return float(boost * (2 - 0.5 ** (depth - 1)))


class _Paths:
    """A trie that is being made. Each node is known by the path to it: its source, then its tokens."""

    def __init__(self) -> None:
        self.children: dict[tuple[int, ...], dict[int, None]] = {}
        self._gains: dict[tuple[int, ...], float] = {}
        self._ends: set[tuple[int, ...]] = set()

    def add(self, source: int, tokens: Sequence[int], boost: float) -> None:
        """Add all of a path, or nothing if there is no room for it."""
        paths = [(source, *tokens[:depth]) for depth in range(1, len(tokens) + 1)]
        if not paths or len(self._gains) + sum(path not in self._gains for path in paths) > MAX_ARCS:
            return
        for depth, path in enumerate(paths, 1):
            self.children.setdefault(path[:-1], {})[path[-1]] = None
            self._gains[path] = max(self._gains.get(path, 0.0), gained(boost, depth))
        self._ends.add(paths[-1])

    def trie(self, after: NDArray[np.int8]) -> Trie:
        ordered = sorted(self._gains, key=len)
        states = {path: number for number, path in enumerate(ordered, FIRST_NODE)}
        sources = [path[0] if len(path) == 2 else states[path[:-1]] for path in ordered]
        gains = [max(0.0, self._gains[path] - self._kept(path[:-1])) for path in ordered]
        return Trie(
            np.array(sources, np.int64),
            np.array([path[-1] for path in ordered], np.int64),
            np.array(list(states.values()), np.int64),
            np.array(gains, np.float32),
            after,
        )

    def _kept(self, path: tuple[int, ...]) -> float:
        """The gain of the longest term that is complete on the path."""
        ends = (path[:length] for length in range(len(path), 1, -1) if path[:length] in self._ends)
        return self._gains[end] if (end := next(ends, None)) else 0.0


def _forms(term: str) -> tuple[str, ...]:
    """As it is written, then in other cases."""
    return term, term[:1].upper() + term[1:], term.lower()
