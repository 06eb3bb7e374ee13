"""Backpressure: a writer that is ahead of its reader waits, and so the server stops reading its client's socket.

What bounds a client's audio, from the socket to the worker:

- the socket itself: `frontend.servers.inbox` holds a few messages and then stops reading; a TCP connection is read only
  when the message before has been dealt with;
- the backlog of a session: audio that was taken in and that its worker has not been through, at most
  `session.max_backlog_s` (more for recordings, which workers read far ahead);
- the entries of a session that Redis has not confirmed, at most `MAX_UNWRITTEN_ENTRIES`;
- the audio per minute that the client's key allows (`frontend.access.meter`): no queue, but a time to wait.

A connection handles one message at a time, so each of them ends at the client.
"""

from collections.abc import Callable


class Backpressure:
    """One queue with two marks: writing pauses at the high one, and resumes when the queue is down to the low one.

    The two are apart so that a writer that has waited can write for a while.
    """

    def __init__(
        self,
        *,
        high: int,
        low: int,
        pause: Callable[[], None] = lambda: None,
        resume: Callable[[], None] = lambda: None,
    ) -> None:
        """`pause` and `resume` are called as writing pauses and resumes. Raises ValueError unless 0 <= low < high."""
        if not 0 <= low < high:
            raise ValueError(f"The low mark is {low} and the high one {high}; 0 <= low < high is needed.")
        self.high = high
        self.low = low
        self.paused = False
        self._pause = pause
        self._resume = resume

    def update(self, level: int) -> bool:
        """Note how full the queue is; whether a writer has to wait."""
        if self.paused and level <= self.low:
            self.paused = False
            self._resume()
        elif not self.paused and level >= self.high:
            self.paused = True
            self._pause()
        return self.paused
