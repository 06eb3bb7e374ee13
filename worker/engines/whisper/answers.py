"""What the decoder said about one window of a session, and the final made of it. Pure."""

from dataclasses import dataclass

from shared.events import Word
from worker.engines.base import Final
from worker.engines.whisper.decoder import Heard
from worker.segmenter import Closed


@dataclass(frozen=True, slots=True)
class Answer:
    start_samples: int
    end_samples: int
    heard: Heard
    model_ms: float


def final(segment: int, closed: Closed, answer: Answer, text: str) -> Final:
    """The final of a closed segment; `text` is empty when the answer was found to be noise.

    The aligner gives the silence around the speech to the first and the last word, so times are cut to the speech.
    """
    first, last = closed.speech_start_samples, closed.speech_end_samples
    words = tuple(
        Word(
            word.text.strip(),
            min(max(closed.start_samples + word.start_samples, first), last),
            min(max(closed.start_samples + word.end_samples, first), last),
        )
        for word in answer.heard.words
        if text
    )
    return Final(
        segment=segment,
        text=text,
        start_samples=closed.start_samples,
        end_samples=closed.end_samples,
        heard_samples=answer.end_samples,
        resume_samples=closed.end_samples,
        words=words,
        language=answer.heard.language if text else None,
        model_ms=answer.model_ms,
    )
