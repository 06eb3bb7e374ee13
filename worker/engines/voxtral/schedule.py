"""Which requests go through the model next. Pure: no torch, no clock.

Passes over prompts alternate with passes that add a token to every running answer, so that neither waits for long.
Long prompts, and those that are not urgent, are processed in chunks: one chunk in a pass, and few chunks while live
speech or a short question waits. So a live answer never waits for more than one chunk between two of its tokens, and
hardly for more than one in total. After each chunk a prompt queues again.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

from worker.engines.voxtral.requests import Request
from worker.engines.voxtral.rows import RowPlan

PROMPTS_PER_PASS: Final = 8
"""Short prompts, of one window each, that share a pass: 3000 tokens. This limits the duration of a pass."""
CHUNK_WINDOWS: Final = 1
"""Calculated for the 3B model: 5 TFLOP, 11 ms on an H100 and 110 ms on an A4500. More at once would not be faster."""
CHUNK_MEASURED: Final = 8
"""Windows that are measured instead: about 10 ms each on a CPU."""
PASSES_BETWEEN_CHUNKS: Final = 8
"""While live requests wait. With a verified draft, the text of a live pass takes about this many steps."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a request's prompt for one pass: some windows to measure, then some to encode."""

    request: Request
    measure: int
    first_window: int
    windows: int
    """0 if there is still more to measure."""

    @property
    def is_last(self) -> bool:
        return self.first_window + self.windows == self.request.prompt.windows


class Schedule:
    """At most `slots` requests have a row; the others wait in order."""

    def __init__(self, plan: RowPlan, slots: int) -> None:
        self._plan = plan
        self._slots = slots
        self._waiting: deque[Request] = deque()
        self._prefilling: deque[Request] = deque()
        self._prefilled_last = False
        self._passes_since_chunk = 0
        self.decoding: list[Request] = []
        """Requests whose prompt is in memory and whose answer is not complete."""

    def submit(self, request: Request) -> None:
        self._waiting.append(request)

    def remove(self, request: Request) -> None:
        """Remove a request, wherever it is, and give its row to another."""
        for queue in (self._waiting, self._prefilling, self.decoding):
            if request in queue:
                queue.remove(request)
        if request.row is not None:
            self._plan.release(request.row)
            request.row = None

    @property
    def is_idle(self) -> bool:
        return not (self._waiting or self._prefilling or self.decoding)

    def next_pieces(self) -> list[Piece]:
        """The next pass over prompts; empty when it is the running answers' turn."""
        self._admit()
        pieces = [] if self._prefilled_last and self.decoding else self._due()
        self._prefilled_last = bool(pieces)
        has_chunk = any(piece.request.gives_way for piece in pieces)
        self._passes_since_chunk = 0 if has_chunk else self._passes_since_chunk + 1
        for piece in pieces:
            self._take(piece)
        return pieces

    def _due(self) -> list[Piece]:
        """Short prompts, and the chunk that is next."""
        short = [request for request in self._prefilling if not request.gives_way]
        due = short[:PROMPTS_PER_PASS]
        somebody_waits = bool(short) or any(not request.gives_way for request in self.decoding)
        if not somebody_waits or self._passes_since_chunk >= PASSES_BETWEEN_CHUNKS:
            due += [request for request in self._prefilling if request.gives_way][:1]
        return [self._piece(request) for request in due]

    def _admit(self) -> None:
        """Assign rows to requests in order of arrival; patient ones after the others.

        Short ones overtake a long one that waits for memory.
        """
        running = len(self._prefilling) + len(self.decoding)
        long_waits = False
        for request in sorted(self._waiting, key=lambda one: one.patient):
            if running == self._slots:
                return
            if long_waits and not self._plan.is_short(request.longest_tokens):
                continue
            request.row = self._plan.take(request.longest_tokens)
            if request.row is None:
                long_waits = True
                continue
            self._waiting.remove(request)
            self._prefilling.append(request)
            running += 1

    @staticmethod
    def _piece(request: Request) -> Piece:
        measure = min(CHUNK_MEASURED, request.prompt.windows - request.measured_windows)
        is_measured = request.measured_windows + measure == request.prompt.windows
        first = request.prefilled_windows
        windows = min(CHUNK_WINDOWS, request.prompt.windows - first) if is_measured else 0
        return Piece(request, measure, first, windows)

    def _take(self, piece: Piece) -> None:
        """Only requests that got windows go to the end of the queue, so that none is overtaken forever."""
        request = piece.request
        request.measured_windows += piece.measure
        request.prefilled_windows += piece.windows
        if piece.windows:
            self._prefilling.remove(request)
            (self.decoding if piece.is_last else self._prefilling).append(request)
