"""Backpressure: a writer that is ahead of its reader waits, and so the server stops reading its client's socket.

These limits apply to a client's audio, from the socket to the worker:

- the socket itself: `frontend.servers.inbox` holds a few messages and then stops reading; a TCP connection is read only
  after the previous message has been handled;
- the backlog of a session: audio that was accepted and that its worker has not processed yet, at most
  `session.max_backlog_s` (more for recordings, which workers read far ahead);
- the entries of a session that Redis has not confirmed, at most `MAX_UNWRITTEN_ENTRIES`;
- the audio per minute that the client's key allows (`frontend.access.meter`): not a queue, but a time to wait.

A connection handles one message at a time, so each of these limits slows the client down.
"""


class Backpressure:
    """One queue with two marks: writing pauses at the high mark, and resumes when the queue has shrunk to the low mark.

    The marks differ so that a writer that has waited can write for a while.
    """

    def __init__(self, *, high: int, low: int) -> None:
        """Raises ValueError unless 0 <= low < high."""
        if not 0 <= low < high:
            raise ValueError(f"The low mark is {low} and the high mark {high}; required: 0 <= low < high.")
        self._high = high
        self._low = low
        self._is_paused = False

    def update(self, level: int) -> bool:
        """Record the level of the queue; returns whether a writer must wait."""
        self._is_paused = level > self._low if self._is_paused else level >= self._high
        return self._is_paused
