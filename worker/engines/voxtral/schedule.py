"""Which requests go through the model next. Pure: no torch, no clock.

Passes over prompts and passes that add a token to every running answer take turns, so that neither waits for long.
A long prompt goes in pieces, and behind each piece it queues again.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

from worker.engines.voxtral.requests import Request
from worker.engines.voxtral.rows import RowPlan

WINDOWS_PER_PASS: Final = 8
"""Windows that are encoded in one pass: 4 minutes of audio, 3000 tokens. Bounds how long a pass takes."""
MEASURED_PER_PASS: Final = 32
"""Windows that are measured in one pass: about 10 ms each on a CPU."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a request's prompt for one pass: some windows to measure, then some to encode."""

    request: Request
    measure: int
    first_window: int
    windows: int
    """0 when there is still more to measure."""

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
        self.decoding: list[Request] = []
        """Requests whose prompt is in memory and whose answer is not complete."""

    def submit(self, request: Request) -> None:
        self._waiting.append(request)

    def remove(self, request: Request) -> None:
        """Forget a request, wherever it is, and give its row to another."""
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
        if not self._prefilling or (self._prefilled_last and self.decoding):
            self._prefilled_last = False
            return []
        self._prefilled_last = True
        pieces: list[Piece] = []
        measures, windows = MEASURED_PER_PASS, WINDOWS_PER_PASS
        for request in list(self._prefilling):
            piece = self._piece(request, measures, windows)
            measures -= piece.measure
            windows -= piece.windows
            if piece.measure or piece.windows:
                self._take(piece)
                pieces.append(piece)
        return pieces

    def _admit(self) -> None:
        """Requests get rows in the order of their coming; short ones pass by a long one that waits for memory."""
        running = len(self._prefilling) + len(self.decoding)
        long_waits = False
        for request in list(self._waiting):
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
    def _piece(request: Request, measures: int, windows: int) -> Piece:
        measure = min(measures, request.prompt.windows - request.measured_windows)
        if request.measured_windows + measure < request.prompt.windows:
            windows = 0
        first = request.prefilled_windows
        return Piece(request, measure, first, min(windows, request.prompt.windows - first))

    def _take(self, piece: Piece) -> None:
        """Only who has had windows goes to the end of the queue, so that nobody is passed by for good."""
        request = piece.request
        request.measured_windows += piece.measure
        request.prefilled_windows += piece.windows
        if piece.windows:
            self._prefilling.remove(request)
            (self.decoding if piece.is_last else self._prefilling).append(request)
