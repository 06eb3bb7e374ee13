"""A session with a track for each channel: one log of events, and a handle in the engine for each track.

The session gives the segments of its tracks the numbers that clients see, and is done when all tracks are.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from shared.dialogue import Said, dialogue
from shared.events import SAMPLE_RATE_HZ, EventType, Latency
from shared.session_options import SessionOptions
from worker.channels.interleaving import Interleaving
from worker.channels.states import ChannelState, ChannelStates, encoded_voices
from worker.claim import Claim
from worker.commitment import StoredText
from worker.engines import base
from worker.second_pass.revisions import Revisions
from worker.session import Given, WorkerSession
from worker.speakers.outputs import Released
from worker.track import Track

MOST_OPEN: Final = 8
"""Segments of one channel that may be open at the same time: engines have one or two."""


class _Channel:
    """What the session knows of one channel besides its text."""

    def __init__(self, track: Track, state: ChannelState, finals: Iterable[dict[str, Any]]) -> None:
        """`finals` are those of the channel so far: the engine numbers them from 0 on."""
        self.track = track
        self.numbers = {own: final["segment"] for own, final in enumerate(finals)} | dict(state.numbers)
        """The numbers by which clients know its segments, by the engine's."""
        self.reached_samples = state.checkpoint_samples
        """The engine's checkpoint. Outputs before it may still be held."""
        self.is_finished = False

    @property
    def state(self) -> ChannelState:
        """What a new owner needs to continue it."""
        track = self.track
        near = range(track.segment, track.segment + MOST_OPEN)
        open_numbers = {own: self.numbers[own] for own in near if own in self.numbers}
        committed = track.committed if track.committed.text else None
        return ChannelState(track.checkpoint_samples, track.segment, open_numbers, committed)


class ChannelSession(WorkerSession):
    """`finals` are those so far, as clients see them, and `states` what the former owner has stored."""

    def __init__(
        self,
        claim: Claim,
        tracks: tuple[Track, ...],
        now_s: float,
        kept_samples: int = 0,
        *,
        revisions: Revisions | None = None,
        states: ChannelStates,
        finals: Iterable[dict[str, Any]] = (),
    ) -> None:
        finals = list(finals)
        self._places = [(round(one["start"] * SAMPLE_RATE_HZ), one["channel"]) for one in finals]
        """Where each final begins, and its channel."""
        self._commits: deque[tuple[bytes, int, set[int]]] = deque()
        """Commits that are not answered yet: their entries, positions, and the channels that have not answered."""
        self._warned: set[tuple[str, str]] = set()
        self._next_number = states.next_segment
        self._states = states
        super().__init__(claim, tracks, now_s, kept_samples, revisions=revisions)
        self._stored = states
        self._channels = [
            _Channel(track, state, [one for one in finals if one["channel"] == track.channel])
            for track, state in zip(self.tracks, states.channels, strict=True)
        ]
        self._interleaving: Interleaving[Given] = Interleaving(len(self.tracks))
        if claim.seq == 0:
            self._snapshot()

    @property
    def segment(self) -> int:
        return self._next_number

    @property
    def is_due(self) -> bool:
        return self.progress_due or bool(self.outbox)

    def _unwritten_commitment(self) -> StoredText | None:
        return self._states if self._states is not self._stored else None

    def _voices(self) -> bytes:
        """Those that Redis has until each channel has a state: with it, Redis deletes the audio of known speakers."""
        states = [track.speakers.state for track in self.tracks]
        return encoded_voices(states) if all(states) else self._stored_voices

    def commit(self, entry_id: bytes, at_samples: int) -> tuple[str, ...]:
        """A track that continues after this position has answered it already."""
        waiting = [track for track in self.tracks if track.opening.checkpoint_samples <= at_samples]
        self._commits.append((entry_id, at_samples, {track.channel for track in waiting}))
        return tuple(track.handle for track in waiting)

    def configure(self, options: SessionOptions, encoded: bytes, at_samples: int) -> None:
        """The number of channels stays."""
        super().configure(replace(options, channels=len(self.tracks)), encoded, at_samples)

    def advance(self, absorbed_samples: int, checkpoint_samples: int, handle: str = "") -> bool:
        was_throttled, track = self.throttled, self.track(handle)
        channel = self._channels[track.channel]
        track.absorbed_samples = absorbed_samples
        channel.reached_samples = max(channel.reached_samples, checkpoint_samples)
        self._interleaving.reach(track.channel, channel.reached_samples)
        self._release()
        return was_throttled and not self.throttled

    def take(
        self,
        output: base.Output,
        step_started_ms: float,
        now_ms: float,
        handle: str = "",
        released: Released | None = None,
    ) -> Latency | None:
        start_samples = output.start_samples if self.options.recording and isinstance(output, base.Final) else None
        given = Given(output, step_started_ms, now_ms, released)
        self._interleaving.put(self.track(handle).channel, given, start_samples)
        return self._release()

    def warn(self, code: str, message: str) -> None:
        """Each warning once, although every track may have it."""
        if (code, message) not in self._warned:
            self._warned.add((code, message))
            super().warn(code, message)

    def _release(self) -> Latency | None:
        """Take the outputs that are not held any more; returns the latency of the last one that has one."""
        latency, seq = None, self.seq
        for channel, given in self._interleaving.due():
            latency = self._take(self.tracks[channel], given) or latency
        for track in self.tracks:
            if not self._interleaving.holds(track.channel):
                reached_samples = self._channels[track.channel].reached_samples
                track.checkpoint_samples = max(track.checkpoint_samples, reached_samples)
        if self.seq != seq:  # it is stored together with events only
            self._snapshot()
        return latency

    def _take_finished(self, track: Track) -> None:
        self._channels[track.channel].is_finished = True
        self._interleaving.end(track.channel)
        if all(one.is_finished for one in self._channels):
            self._finish()

    def _take_committed(self, track: Track, at_samples: int) -> None:  # noqa: ARG002 -- those of `commit` count
        """`committed` follows when all channels have answered; they answer commits in order.

        With `turns`, text before `committed` is of the audio before the commit: a channel that has answered waits.
        """
        asked = next((waiting for *_, waiting in self._commits if track.channel in waiting), None)
        if asked is None:
            return
        asked.remove(track.channel)
        if self.options.turns:
            self._interleaving.block(track.channel)
        while self._commits and not self._commits[0][-1]:
            entry_id, committed_samples, _ = self._commits.popleft()
            self._interleaving.unblock()
            if self.answer_commit(entry_id) and self.options.turns:
                self._emit(EventType.COMMITTED, end_samples=committed_samples)

    def _whole_text(self) -> str:
        return dialogue(Said(*place, text) for place, text in zip(self._places, self.texts, strict=True))

    def _number_of(self, track: Track, segment: int) -> int:
        return self._channels[track.channel].numbers[segment]

    def _emit_text(self, track: Track, event_type: EventType, **fields: Any) -> dict[str, Any]:
        if (segment := fields.get("segment")) is not None:
            numbers = self._channels[track.channel].numbers
            if segment not in numbers:
                numbers[segment] = self._next_number
                self._next_number += 1
            fields["segment"] = numbers[segment]
        if event_type is EventType.FINAL:
            self._places.append((fields["start_samples"], track.channel))
        extra = {**fields.pop("extra", {}), "channel": track.channel}
        return self._emit(event_type, extra=extra, **fields)

    def _snapshot(self) -> None:
        self._states = ChannelStates(self._next_number, tuple(channel.state for channel in self._channels))
