"""The revisions of one session: which finals wait for the second model, with which audio. Pure."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from shared.events import SAMPLE_RATE_HZ, Event, EventType, Scores
from shared.session_options import Mode, SessionOptions
from worker.claim import Opening
from worker.engines.base import Final as FinalText
from worker.engines.base import Notice
from worker.second_pass.backlog import Task
from worker.second_pass.kept_audio import KeptAudio
from worker.second_pass.second_pass import Answer
from worker.speakers.finals import PastFinal, SpokenFinal
from worker.wording.session_wording import SessionWording
from worker.wording.wording import Wording

MARGIN_SAMPLES: Final = SAMPLE_RATE_HZ // 5
"""Audio before and after a final that is decoded with it, as far as it belongs to no other final: the times of some
models begin at the first word."""
LONGEST_SAMPLES: Final = 30 * SAMPLE_RATE_HZ - 4 * MARGIN_SAMPLES
"""A Whisper hears 30 s at once. Longer finals, such as answers about a recording, keep their text."""
MIN_LOG_PROBABILITY: Final = -1.0
"""OpenAI's limit for answers of Whisper."""
CODE: Final = "revise_ignored"
_SCORES: Final = frozenset(one.name for one in fields(Scores))
_REPLACED: Final = frozenset({"text", "words", "language", "speaker", "speaker_unsure"}) | _SCORES
"""The fields of a final that its revision replaces; `revised` has all its others, but for those of the next line."""
_OWN: Final = frozenset({"type", "seq", "latency", "usage"})


@dataclass(frozen=True, slots=True)
class _Pending:
    """A final that waits for its answer."""

    final: FinalText
    """As the engine gave it."""
    wire: dict[str, Any]
    """As clients got it."""
    wording: Wording | None
    language: str | None
    spoken: PastFinal | None
    """Its speakers, if the session is diarized."""


@dataclass(frozen=True, slots=True)
class Revision:
    """What replaces a final."""

    text: str
    payload: bytes
    """The event and the new entry of the list of finals. See `EventKind.REVISED`."""


@dataclass(slots=True)
class _Track:
    """The audio of one handle."""

    audio: KeptAudio
    taken_samples: int
    """Audio before this belongs to earlier finals."""


@dataclass(slots=True)
class Revisions:
    """Of a session that a worker with a second model serves. A final is known by its index among the session's."""

    by_default: bool
    """Whether sessions that do not choose are revised."""
    modes: Collection[Mode]
    """Those of the second model."""
    are_awaited: bool = False
    """Whether only they are missing for the session's `done`."""
    _tasks: list[Task] = field(default_factory=list)
    _tracks: dict[str, _Track] = field(default_factory=dict)
    """By the handle."""
    _pending: dict[int, _Pending] = field(default_factory=dict)
    """By the index of the final."""

    def open(self, openings: Iterable[Opening]) -> None:
        """The handles of the session, and where the audio of each begins. Call it once, before any audio."""
        for one in openings:
            self._tracks[one.handle] = _Track(KeptAudio(one.checkpoint_samples), one.checkpoint_samples)

    @property
    def pending(self) -> int:
        """How many finals wait to be decoded again."""
        return len(self._pending)

    def hear(self, handle: str, samples: NDArray[np.float32], options: SessionOptions) -> None:
        """New audio of a handle. It is not kept while the session does not want revisions."""
        audio = self._tracks[handle].audio
        if self._are_wanted(options):
            audio.append((samples * 32768).astype(np.int16))  # exact: it was made of such samples
        else:
            audio.skip(len(samples))

    def _are_wanted(self, options: SessionOptions) -> bool:
        wanted = self.by_default if options.revise is None else options.revise
        return wanted and options.mode in self.modes

    def close(
        self,
        handle: str,
        index: int,
        final: FinalText,
        wire: dict[str, Any],
        *,
        options: SessionOptions,
        wording: SessionWording,
        spoken: PastFinal | None = None,
    ) -> None:
        """A final has been made: decode it again later, if the session wants that.

        `final` is as the engine gave it, `wire` as clients get it, and `wording` has rewritten it. `spoken` has its
        speakers, if the session is diarized.
        """
        track = self._tracks[handle]
        start_samples = max(final.start_samples - MARGIN_SAMPLES, min(track.taken_samples, final.start_samples))
        start_samples = max(start_samples, min(track.audio.start_samples, final.start_samples))
        end_samples = min(final.end_samples + MARGIN_SAMPLES, max(final.resume_samples, final.end_samples))
        track.taken_samples = max(track.taken_samples, end_samples)
        if self._are_wanted(options) and wire["text"] and end_samples - start_samples <= LONGEST_SAMPLES:
            pcm = track.audio.between(start_samples, end_samples)
            if pcm is not None:
                lead_samples = MARGIN_SAMPLES - (final.start_samples - start_samples)
                language = final.language or options.language
                self._tasks.append(Task(handle, index, pcm, start_samples, lead_samples, language, options))
                self._pending[index] = _Pending(final, wire, wording.applied, wording.language, spoken)
        track.audio.forget_before(track.taken_samples)

    def wait(self, options: SessionOptions) -> bool:
        """The session has ended but for its pending finals: whether it waits for them.

        Clients of other services get no `revised`, so they do not wait for it.
        """
        self.are_awaited = self.pending > 0 and not options.turns
        return self.are_awaited

    @property
    def pending_indices(self) -> list[int]:
        """The finals that wait to be decoded again, by their index in the session's finals."""
        return list(self._pending)

    def take_tasks(self) -> list[Task]:
        """The new tasks, for the backlog."""
        tasks, self._tasks = self._tasks, []
        return tasks

    def answer(self, index: int, answer: Answer | None, session_id: str, seq: int, *, words: bool) -> Revision | None:
        """What replaces the final, as event `seq`; None if its text stays."""
        pending = self._pending.pop(index, None)
        if pending is None or answer is None or not answer.text or _is_doubtful(answer, pending.final):
            return None
        final = replace(pending.final, text=answer.text, words=answer.words)
        if pending.wording is not None:
            final = pending.wording.final(final, pending.language or answer.language)
        if final.text in ("", pending.wire["text"]):
            return None
        kept = {name: value for name, value in pending.wire.items() if name not in _REPLACED}
        spoken = SpokenFinal(final.words)
        if pending.spoken is not None:
            spoken = pending.spoken.revised(final.words, with_words=words)
        event = Event(
            EventType.REVISED,
            session_id,
            seq,
            text=final.text,
            words=spoken.words if words else None,
            language=answer.language,
            scores=answer.scores,
            speaker=spoken.speaker,
            speaker_unsure=spoken.speaker_unsure,
        ).to_wire()
        replaced = {name: event[name] for name in _REPLACED if name in event}
        event |= {name: value for name, value in kept.items() if name not in _OWN} | {"pending": self.pending}
        entry = kept | replaced | {"revised_seq": seq}
        return Revision(final.text, orjson.dumps(event) + b"\n" + orjson.dumps(entry))


def _is_doubtful(answer: Answer, final: FinalText) -> bool:
    """Whether the second model made its text up, by Whisper's own limit, although the first one is known to be sure or
    not. Measured with whisper-base twice: 73 errors in 600 words without this rule, 66 with it; the finals had 71."""
    has_confidence = final.scores is not None and final.scores.confidence is not None
    log_probability = answer.scores.avg_logprob
    return has_confidence and log_probability is not None and log_probability < MIN_LOG_PROBABILITY


def revise_notices(before: SessionOptions | None, options: SessionOptions, revisions: Revisions | None) -> list[Notice]:
    """The notice for a session that wants revisions and gets none: once, although `configure` may repeat the option.

    `before`: the options until now; None at the start.
    """
    if not options.revise or (before is not None and before.revise):
        return []
    if revisions is None:
        reason = "this server has no second model"
    elif options.mode not in revisions.modes:
        reason = f"the second model does not support mode {options.mode}"
    else:
        return []
    return [Notice(CODE, f"revise has no effect: {reason}.")]
