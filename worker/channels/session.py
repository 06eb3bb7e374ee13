"""A session with a track for each channel: one log of events, and a handle in the engine for each track.

A track is a session of its own as far as its text is concerned, so all options of text work on it. The session gives
its segments the numbers that clients see, writes its events, and is done when all tracks are.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.audio.pcm import from_s16
from shared.bus.ownership import Settled
from shared.dialogue import Said, dialogue
from shared.events import SAMPLE_RATE_HZ, EventType, Latency
from shared.session_options import SessionOptions
from worker.channels.interleaving import Interleaving
from worker.channels.states import ChannelState, ChannelStates, decoded_voices, encoded_voices
from worker.claim import Claim, Opening
from worker.commitment import Commitment, StoredText, unfinished
from worker.engines import base
from worker.second_pass.revisions import Revisions
from worker.session import WorkerSession
from worker.speakers.finals import PastFinal
from worker.speakers.outputs import Released
from worker.wording.session_wording import SessionWording

MOST_OPEN: Final = 8
"""Segments of one channel that may be open at the same time: engines have one or two."""
CLAIMED: Final = 1
"""The `seq` of a track's claim. Tracks have no `ready`."""


class _Put(NamedTuple):
    """An output, and when its step started (ms)."""

    output: base.Output
    step_started_ms: float
    now_ms: float
    released: Released | None
    """Its speakers, if the session is diarized."""


class Track(WorkerSession):
    """The text of one channel. Its segments have the engine's numbers; `numbers` has those that clients see."""

    def __init__(
        self,
        session: "ChannelSession",
        channel: int,
        state: ChannelState,
        finals: Iterable[dict[str, Any]],
        speakers: bytes,
    ) -> None:
        """`finals` are those of the channel so far: the engine numbers them from 0 on. `speakers`: see `Claim`."""
        self._session = session
        self.channel = channel
        self.numbers = {own: final["segment"] for own, final in enumerate(finals)} | dict(state.numbers)
        self.reached_samples = state.checkpoint_samples
        """The engine's checkpoint. Outputs before it may still be held."""
        self.is_finished = False
        claim = replace(
            session.claim,
            seq=CLAIMED,
            checkpoint_samples=state.checkpoint_samples,
            segment=state.segment,
            texts=(),
            committed=state.committed,
            speakers=speakers,
        )
        super().__init__(claim, session.now_s)

    @property
    def handle(self) -> str:
        return f"{self._session.handle}/{self.channel}"

    @property
    def label_prefix(self) -> str:
        return str(self.channel)

    @property
    def state(self) -> ChannelState:
        """What a new owner needs to continue it."""
        committed = self.committed if self.committed.text else None
        near = range(self.segment, self.segment + MOST_OPEN)
        open_numbers = {own: self.numbers[own] for own in near if own in self.numbers}
        return ChannelState(self.checkpoint_samples, self.segment, open_numbers, committed)

    def reconfigure(self, options: SessionOptions, at_samples: int) -> None:
        self.options = options
        self._wording.configure(options, at_samples)

    def finish_text(self, step_started_ms: float, now_ms: float) -> None:
        """The engine has finished: text that is committed becomes final."""
        self.is_finished = True
        if self.committed.text:
            self._take_final(unfinished(self.committed), step_started_ms, now_ms)

    def warn(self, code: str, message: str) -> None:
        self._session.warn(code, message)

    def _latency(self, heard_samples: int, model_ms: float, step_started_ms: float, now_ms: float) -> Latency:
        return self._session.latency(heard_samples, model_ms, step_started_ms, now_ms)

    def _number_of(self, segment: int) -> int:
        return self.numbers[segment]

    def _made(self, heard: base.Final, wire: dict[str, Any]) -> None:
        self._session.made(self.channel, heard, wire, self._wording, self.speakers.past(heard.segment))

    def _emit(self, event_type: EventType, **fields: Any) -> dict[str, Any]:
        number = fields.get("segment")
        if number is not None:
            if number not in self.numbers:
                self.numbers[number] = self._session.new_number()
            fields["segment"] = self.numbers[number]
        if event_type is EventType.FINAL:
            self._session.note(Said(fields["start_samples"], self.channel, fields["text"]))
        extra = {**fields.pop("extra", {}), "channel": self.channel}
        return self._session.emit(event_type, extra=extra, **fields)


class ChannelSession(WorkerSession):
    """`finals` are those so far, as clients see them, and `states` what the former owner has stored."""

    def __init__(
        self,
        claim: Claim,
        now_s: float,
        kept_samples: int = 0,
        *,
        revisions: Revisions | None = None,
        states: ChannelStates,
        finals: Iterable[dict[str, Any]] = (),
    ) -> None:
        finals = list(finals)
        self._said = [Said(round(one["start"] * SAMPLE_RATE_HZ), one["channel"], one["text"]) for one in finals]
        self._commits: deque[tuple[int, set[int]]] = deque()
        """Commits that are not answered yet: their positions, and the channels that have not answered."""
        self._warned: set[tuple[str, str]] = set()
        self._states = self._stored_states = states
        super().__init__(claim, now_s, kept_samples, revisions=revisions)
        self.segment = states.next_segment
        voices = decoded_voices(claim.speakers, len(states.channels))
        self._stored_voices = claim.speakers
        self._tracks = [
            Track(self, channel, state, [one for one in finals if one["channel"] == channel], voices[channel])
            for channel, state in enumerate(states.channels)
        ]
        self.handles = tuple(track.handle for track in self._tracks)
        self._by_handle = dict(zip(self.handles, self._tracks, strict=True))
        self._interleaving: Interleaving[_Put] = Interleaving(len(self._tracks))
        if claim.seq == 0:
            self._snapshot()

    @property
    def openings(self) -> list[Opening]:
        return [
            Opening(
                handle, track.claim.checkpoint_samples, track.claim.segment, track.claim.committed or Commitment(-1)
            )
            for handle, track in self._by_handle.items()
        ]

    @property
    def is_due(self) -> bool:
        return self.progress_due or bool(self.outbox)

    @property
    def tracks(self) -> tuple[WorkerSession, ...]:
        return tuple(self._tracks)

    @property
    def tracked_samples(self) -> int | None:
        return min((at for track in self._tracks if (at := track.tracked_samples) is not None), default=None)

    @property
    def unwritten_speakers(self) -> bytes | None:
        """None until each channel has a state: with it, Redis deletes the audio of known speakers."""
        states = [track.speakers.state for track in self._tracks]
        voices = encoded_voices(states) if all(states) else self._stored_voices
        return voices if voices != self._stored_voices else None

    @property
    def unwritten_commitment(self) -> StoredText | None:
        return self._states if self._states is not self._stored_states else None

    def written(
        self,
        events: int,
        settled: Settled | None,
        committed: StoredText | None,
        consumed_samples: int | None,
        speakers: bytes | None = None,
    ) -> None:
        super().written(events, settled, None, consumed_samples)
        if isinstance(committed, ChannelStates):
            self._stored_states = committed
        if speakers is not None:
            self._stored_voices = speakers

    def parts(self, end_samples: int, pcm: bytes) -> list[tuple[str, NDArray[np.float32]]]:
        frames = np.frombuffer(pcm, "<i2").reshape(-1, len(self._tracks))
        start_samples = end_samples - len(frames)
        found = []
        for handle, track in self._by_handle.items():
            first = max(0, max(self.read_samples, track.claim.checkpoint_samples) - start_samples)
            if first < len(frames):
                found.append((handle, from_s16(frames[first:, track.channel])))
        return found

    def commit(self, at_samples: int) -> tuple[str, ...]:
        """A track that continues after this position has answered it already."""
        waiting = {
            handle: track for handle, track in self._by_handle.items() if track.claim.checkpoint_samples <= at_samples
        }
        self._commits.append((at_samples, {track.channel for track in waiting.values()}))
        return tuple(waiting)

    def configure(self, options: SessionOptions, encoded: bytes, at_samples: int) -> None:
        """The number of channels stays."""
        options = replace(options, channels=len(self._tracks))
        super().configure(options, encoded, at_samples)
        for track in self._tracks:
            track.reconfigure(options, at_samples)

    def advance(self, absorbed_samples: int, checkpoint_samples: int, handle: str = "") -> bool:
        was_throttled, track = self.throttled, self._by_handle[handle]
        track.absorbed_samples = absorbed_samples
        track.reached_samples = max(track.reached_samples, checkpoint_samples)
        self._interleaving.reach(track.channel, track.reached_samples)
        self._release()
        self.absorbed_samples = min(one.absorbed_samples for one in self._tracks)
        return was_throttled and not self.throttled

    def take(
        self,
        output: base.Output,
        step_started_ms: float,
        now_ms: float,
        handle: str = "",
        released: Released | None = None,
    ) -> Latency | None:
        is_held = self.options.recording and isinstance(output, base.Final)
        start_samples = output.start_samples if is_held and isinstance(output, base.Final) else None
        put = _Put(output, step_started_ms, now_ms, released)
        self._interleaving.put(self._by_handle[handle].channel, put, start_samples)
        return self._release()

    def warn(self, code: str, message: str) -> None:
        """Each warning once, although every track may have it."""
        if (code, message) not in self._warned:
            self._warned.add((code, message))
            super().warn(code, message)

    def new_number(self) -> int:
        """The number of a segment that clients see for the first time."""
        number, self.segment = self.segment, self.segment + 1
        return number

    def note(self, said: Said) -> None:
        """A track has a final."""
        self._said.append(said)

    def made(
        self, channel: int, heard: base.Final, wire: dict[str, Any], wording: SessionWording, past: PastFinal | None
    ) -> None:
        """A final of a track is complete; it is the last one that was noted."""
        if self.revisions is not None:
            index = len(self._said) - 1
            self.revisions.close(
                self.handles[channel], index, heard, wire, options=self.options, wording=wording, spoken=past
            )

    def emit(self, event_type: EventType, **fields: Any) -> dict[str, Any]:
        """Add an event of a track."""
        return self._emit(event_type, **fields)

    def latency(self, heard_samples: int, model_ms: float, step_started_ms: float, now_ms: float) -> Latency:
        return self._latency(heard_samples, model_ms, step_started_ms, now_ms)

    def _release(self) -> Latency | None:
        """Take the outputs that are not held any more; returns the latency of the last one that has one."""
        latency, seq = None, self.seq
        for channel, put in self._interleaving.due():
            if self.ending is None:
                latency = self._take_one(self._tracks[channel], put) or latency
        for track in self._tracks:
            if not self._interleaving.holds(track.channel):
                track.checkpoint_samples = max(track.checkpoint_samples, track.reached_samples)
        settled_samples = min(track.checkpoint_samples for track in self._tracks)
        self.checkpoint_samples = max(self.checkpoint_samples, settled_samples)
        if self.seq != seq:  # it is stored together with events only
            self._snapshot()
        return latency

    def _take_one(self, track: Track, put: _Put) -> Latency | None:
        output, step_started_ms, now_ms, released = put
        match output:
            case base.Committed():
                self._answer_commit(track.channel)
            case base.Notice():
                self.warn(output.code, output.message)
            case base.Finished():
                track.finish_text(step_started_ms, now_ms)
                self._interleaving.end(track.channel)
                if all(one.is_finished for one in self._tracks):
                    self._finish()
            case base.Failed():
                self.fail(output.error)
            case _:
                return track.take(output, step_started_ms, now_ms, released=released)
        return None

    def _answer_commit(self, channel: int) -> None:
        """`committed` follows when all channels have answered; they answer commits in order.

        With `turns`, text before `committed` is of the audio before the commit: a channel that has answered waits.
        """
        asked = next((waiting for _, waiting in self._commits if channel in waiting), None)
        if asked is None:
            return
        asked.remove(channel)
        if self.options.turns:
            self._interleaving.block(channel)
        while self._commits and not self._commits[0][1]:
            at_samples, _ = self._commits.popleft()
            self._interleaving.unblock()
            if self.options.turns:
                self._emit(EventType.COMMITTED, end_samples=at_samples)

    def _whole_text(self) -> str:
        return dialogue(self._said)

    def _replace_text(self, index: int, text: str) -> None:
        self._said[index] = self._said[index]._replace(text=text)

    def _snapshot(self) -> None:
        self._states = ChannelStates(self.segment, tuple(track.state for track in self._tracks))
