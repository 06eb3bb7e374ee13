"""Sessions of the Whisper engine without a model: the voice and the words of some speech are known.

What stands between engine and decoder is checked on the way: the words that a pass forces are those that are spoken at
the beginning of its window.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from shared.events import SAMPLE_RATE_HZ
from shared.words import normalised
from tests.unit.worker.engines.whisper.heard_words import words
from worker.engines.base import Final, Output, Partial
from worker.engines.speech.vad import WINDOW_SAMPLES
from worker.engines.whisper.jobs import Heard, Job
from worker.engines.whisper.languages import Probabilities
from worker.engines.whisper.session import Pass, Session
from worker.engines.whisper.spans import Spans
from worker.engines.whisper.words import HeardWord

INTERVAL_MS = 240.0
Answer = Callable[[Pass, Job, Heard], Heard]


@dataclass(slots=True)
class Speech:
    """Words at their positions in a session. There is voice in them and nowhere else."""

    words: tuple[HeardWord, ...]
    length_samples: int
    is_strict: bool = True
    """Whether the decoder says what is spoken, so that the words that a pass forces must be those of the speech."""
    starts_samples: NDArray[np.int64] = field(init=False)
    ends_samples: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.starts_samples = np.array([word.start_samples for word in self.words])
        self.ends_samples = np.array([word.end_samples for word in self.words])

    def probabilities(self, start_samples: int, windows: int) -> NDArray[np.float32]:
        middles = start_samples + np.arange(windows) * WINDOW_SAMPLES + WINDOW_SAMPLES // 2
        latest = np.searchsorted(self.starts_samples, middles, "right") - 1
        voiced = (latest >= 0) & (middles < self.ends_samples[latest])
        return np.where(voiced, 0.95, 0.02).astype(np.float32)

    def heard(self, spans: Spans, job: Job) -> Heard:
        """What a decoder without fault says."""
        inside = [word for word in self.words if _joined(spans, _middle(word)) is not None]
        forced = "".join(map(chr, job.forced)).split()
        before = [word.text for word in inside[: len(forced)]]
        same = [normalised(one) for one in before] == [normalised(one) for one in forced]
        assert same or not self.is_strict, "other words are forced than those at the beginning of the window"
        lead = ""
        if same and forced and forced[-1] == before[-1].strip():
            lead = inside[len(forced) - 1].mark
        found = [_placed(spans, word) for word in inside[len(forced) :]]
        return answer(found, language=job.language, lead=lead)


@dataclass(slots=True)
class Played:
    """What a session has given so far."""

    outputs: list[Output] = field(default_factory=list)
    passes: list[Pass] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)

    @property
    def finals(self) -> list[Final]:
        return [output for output in self.outputs if isinstance(output, Final)]

    @property
    def partials(self) -> list[Partial]:
        return [output for output in self.outputs if isinstance(output, Partial)]

    @property
    def text(self) -> str:
        return " ".join(final.text for final in self.finals)


def speech(*sentences: str, pause_s: float = 1.0, word_s: float = 0.4, lead_s: float = 0.5) -> Speech:
    """Sentences of words that follow each other at once, with pauses before, between and after them."""
    said: list[HeardWord] = []
    at_s = lead_s
    for sentence in sentences:
        said += words(sentence, at_s, word_s)
        at_s += len(sentence.split()) * word_s + pause_s
    return Speech(tuple(said), round(at_s * SAMPLE_RATE_HZ))


def answer(
    found: Sequence[HeardWord],
    *,
    language: str = "en",
    lead: str = "",
    log_probability: float = -0.2,
    no_speech_probability: float = 0.01,
) -> Heard:
    return Heard(
        words=tuple(found),
        lead=lead,
        lead_tokens=tuple(map(ord, lead)),
        language=language,
        log_probability=log_probability,
        no_speech_probability=no_speech_probability,
        token_count=2 * len(found),
    )


def faultless(_: Pass, __: Job, heard: Heard) -> Heard:
    return heard


def play(
    session: Session,
    said: Speech,
    *,
    decoder: Answer = faultless,
    chunk_samples: int = 1600,
    commits_samples: Sequence[int] = (),
    events: Mapping[int, Callable[[], object]] = MappingProxyType({}),
    language: Callable[[int], str | Probabilities] = lambda _: "en",
    detections: int | None = None,
    start_samples: int = 0,
    interval_ms: float = INTERVAL_MS,
) -> Played:
    """The session hears all of the speech in pieces, and is stepped as the engine does it.

    `events`: what is called at a position. `language`: what is spoken, or detected, at one. `detections`: the most in
    one step.
    """
    heard = Played()
    stops = {*commits_samples, *events, said.length_samples}
    for start, end in pairwise(sorted({*range(start_samples, said.length_samples, chunk_samples), *stops})):
        session.endpointing.audio.append(np.zeros(end - start, np.float32))
        if end in commits_samples:
            session.endpointing.commit()
        if end in events:
            events[end]()
        if end == said.length_samples:
            session.endpointing.finish()
        drain(session, said, heard, decoder=decoder, language=language, detections=detections, interval_ms=interval_ms)
    return heard


def drain(
    session: Session,
    said: Speech,
    heard: Played,
    *,
    decoder: Answer,
    language: Callable[[int], str | Probabilities],
    detections: int | None = None,
    interval_ms: float,
) -> None:
    """Steps, as the engine takes them, until there is nothing to do."""
    while session.is_behind(interval_ms) or session.has_outputs():
        while (pcm := session.unheard(1000)) is not None:
            at = session.endpointing.segmenter.position_samples
            session.take_probabilities(said.probabilities(at, len(pcm) // WINDOW_SAMPLES))
        for span in session.undetected()[:detections]:
            Spans((span,)).pcm(session.endpointing.audio)
            spoken = language((span.start_samples + span.end_samples) // 2)
            if isinstance(spoken, str):
                spoken = {code: 0.95 if code == spoken else 0.01 for code in ("en", "de", "es")}
            session.take_detected(span, spoken)
        checkpoint = session.checkpoint_samples
        for wanted in session.due_passes(interval_ms):
            job = session.job(wanted)
            assert len(job.pcm) == wanted.spans.length_samples
            assert job.language
            heard.passes.append(wanted)
            heard.jobs.append(job)
            session.take_heard(wanted, decoder(wanted, job, said.heard(wanted.spans, job)), 1.0)
        heard.outputs += session.take_outputs()
        assert session.checkpoint_samples >= checkpoint
        session.forget()


def _middle(word: HeardWord) -> int:
    return (word.start_samples + word.end_samples) // 2


def _joined(spans: Spans, position_samples: int) -> int | None:
    """Where a position of the session lies in the joined audio."""
    before = 0
    for span in spans.spans:
        if span.start_samples <= position_samples < span.end_samples:
            return before + position_samples - span.start_samples
        before += span.length_samples
    return None


def _placed(spans: Spans, word: HeardWord) -> HeardWord:
    """A word of the session in the joined audio. It may be cut at the edge."""
    middle = _joined(spans, _middle(word))
    assert middle is not None
    half = (word.end_samples - word.start_samples) // 2
    start, end = max(0, middle - half), min(spans.length_samples, middle + half)
    return replace(word, start_samples=start, end_samples=end)
