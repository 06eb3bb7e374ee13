"""The second model: a Whisper whose threads have the lowest priority, so that it does not slow live sessions down."""

import os
import threading
from collections.abc import Callable, Sequence
from math import isfinite
from typing import Final, TypeVar

import numpy as np

from shared.audio.pcm import from_s16
from shared.events import SAMPLE_RATE_HZ, Scores
from shared.session_options import Mode
from worker.engines.whisper.decoder import WhisperDecoder
from worker.engines.whisper.jobs import Heard, Job
from worker.engines.whisper.languages import likeliest
from worker.engines.whisper.session import wire_words
from worker.engines.whisper.spans import Span, Spans
from worker.engines.whisper.transcript import joined
from worker.engines.whisper.words import mean_confidence
from worker.second_pass.backlog import Task
from worker.second_pass.second_pass import Answer

LOWEST_PRIORITY: Final = 19
"""A nice value. Linux then gives a thread 1.5 % of a processor for which another thread competes."""
BEAM_BELOW: Final = -0.3
"""As for recordings, which have as much time."""

T = TypeVar("T")


class SecondModel:
    """See `second_pass.Model`."""

    def __init__(self, name: str, decoder: WhisperDecoder, batch: int) -> None:
        self.name = name
        self.modes: tuple[Mode, ...] = decoder.modes
        self.batch = batch
        self._decoder = decoder
        self._languages = decoder.languages

    def warm_up(self) -> None:
        self._decoder.run([Job(np.zeros(SAMPLE_RATE_HZ, np.float32), language="en", cap_tokens=1)])

    def decode(self, tasks: Sequence[Task]) -> list[Answer]:
        pcms = [from_s16(task.pcm) for task in tasks]
        jobs = [
            Job(
                pcm,
                language=self._language(task, pcm),
                prompt=task.options.prompt,
                closing=True,
                lead_samples=task.lead_samples,
                beam_below=BEAM_BELOW,
                translate=task.options.mode is Mode.TRANSLATE,
                keyterms=task.options.keyterms or (),
            )
            for task, pcm in zip(tasks, pcms, strict=True)
        ]
        return [_answer(task, heard) for task, heard in zip(tasks, self._decoder.run(jobs), strict=True)]

    def _language(self, task: Task, pcm: np.ndarray) -> str:
        if task.language in self._languages:
            return task.language
        allowed = tuple(code for code in task.options.languages or () if code in self._languages)
        [found] = self._decoder.detect([pcm])
        return likeliest([(found, len(pcm) / SAMPLE_RATE_HZ)], allowed or self._languages)


def at_lowest_priority(work: Callable[[], T]) -> T:
    """The result of `work`, which runs in a thread of the lowest priority. Threads that it starts inherit this.

    The thread ends with the work: a thread that needs the interpreter's lock must not have a low priority, since the
    others would wait for it.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOWEST_PRIORITY)
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001 -- raised below, in the calling thread
            errors.append(error)

    thread = threading.Thread(target=run, name="second-model-load")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def _answer(task: Task, heard: Heard) -> Answer:
    span = Span(task.start_samples, task.start_samples + len(task.pcm))
    words = tuple(Spans((span,)).placed(heard.words))
    log_probability = heard.log_probability if isfinite(heard.log_probability) else None
    return Answer(
        joined(words),
        wire_words(words, span),
        heard.language,
        Scores(mean_confidence(words), log_probability, heard.no_speech_probability),
    )
