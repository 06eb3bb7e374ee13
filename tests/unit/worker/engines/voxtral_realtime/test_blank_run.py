"""A model that says nothing while somebody speaks is noticed, and hears it again."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.session_options import SessionOptions
from tests.engine_sessions import finals
from tests.tiny.scenes import background, scene
from tests.unit.worker.engines.voxtral_realtime.test_session import FRAME, PAD, PROMPT, WORD, _Alphabet, heard
from worker.engines.base import Final, Finished, HeardAgain, Output
from worker.engines.speech.vad import SileroVad
from worker.engines.voxtral_realtime.blank_run import KEPT_SAMPLES, MARGIN_SAMPLES
from worker.engines.voxtral_realtime.session import LONG_PAUSE_SAMPLES, RENEWED_AFTER_SAMPLES, Session
from worker.engines.voxtral_realtime.vocabulary import Vocabulary

SPOKEN = scene(5, 12, gap_s=(0.1, 0.3))
VAD = SileroVad()


@dataclass
class StuckModel:
    """Says a letter for each word at its end, except while it is stuck: from a position of the audio on, and until
    it has been started anew as often as `starts` says."""

    session: Session
    ends_samples: list[int]
    stuck_from_samples: int = 10**9
    starts: int = 2
    started: int = 0
    last: int = PAD

    def hear(self, audio: NDArray[np.float32]) -> list[Output]:
        """Feed audio by the second, and take what is said."""
        outputs: list[Output] = []
        for at in range(0, len(audio), 16_000):
            self.session.feed(audio[at : at + 16_000])
            outputs += self.run()
        return outputs

    def run(self) -> list[Output]:
        while self.session.is_ready:
            self.started += self.session.stretch.is_at_start
            said_at = self.session.stretch.said_at_samples
            token = PAD if said_at is None else self._token(said_at // FRAME)
            self.last = token
            self.session.take(heard(self.session), token, 1.0)
        return self.session.take_outputs()

    def _token(self, frame: int) -> int:
        if frame * FRAME >= self.stuck_from_samples and self.started < self.starts:
            return PAD
        marked = {end // FRAME: index for index, end in enumerate(self.ends_samples)}
        if frame in marked:
            return WORD
        return 100 + marked[frame - 1] if self.last == WORD else PAD


def stuck_model(vad: SileroVad | None = VAD, **what: int) -> StuckModel:
    options, vocabulary = SessionOptions(), Vocabulary(_Alphabet())
    session = Session(options, PROMPT, vocabulary, start_samples=0, segment=0, default_delay_ms=480, vad=vad)
    return StuckModel(session, [word.end_samples for word in SPOKEN.words], **what)


def letters(outputs: list[Output]) -> str:
    return "".join(word.text for final in finals(outputs) for word in final.words)


def heard_again(outputs: list[Output]) -> list[HeardAgain]:
    return [output for output in outputs if isinstance(output, HeardAgain)]


def test_words_that_a_stuck_model_missed_are_processed_again_once() -> None:
    model = stuck_model(stuck_from_samples=SPOKEN.words[2].start_samples)
    outputs = model.hear(SPOKEN.audio)
    model.session.finish()
    outputs += model.run()
    [again] = heard_again(outputs)
    assert SPOKEN.words[1].end_samples <= again.start_samples <= SPOKEN.words[2].start_samples + FRAME
    assert letters(outputs) == "abcdefghijkl"
    ends = [word.end_samples for output in outputs if isinstance(output, Final) for word in output.words]
    assert ends == sorted(ends)
    assert model.started == 2
    assert outputs[-1] == Finished()


def test_words_are_missed_without_the_detector() -> None:
    model = stuck_model(vad=None, stuck_from_samples=SPOKEN.words[2].start_samples)
    assert letters(model.hear(SPOKEN.audio) + model.hear(np.zeros(5 * 16_000, np.float32))) == "ab"


def test_new_owner_also_processes_the_missed_words() -> None:
    """The checkpoint waits for speech that has not been answered, and goes on in silence."""
    model = stuck_model(stuck_from_samples=SPOKEN.words[2].start_samples)
    model.hear(SPOKEN.audio[: SPOKEN.words[2].start_samples + 2 * 16_000])
    assert not heard_again(model.session.take_outputs())
    assert model.session.checkpoint_samples <= SPOKEN.words[2].start_samples
    silent = stuck_model()
    silent.hear(np.zeros(10 * 16_000, np.float32))
    assert silent.session.checkpoint_samples > 7 * 16_000


def test_model_that_stays_stuck_gets_the_audio_at_most_twice() -> None:
    model = stuck_model(stuck_from_samples=0, starts=10**9)
    speech = np.concatenate([SPOKEN.audio] * 4)
    outputs = model.hear(speech)
    again = heard_again(outputs)
    assert again
    for one, following in pairwise(again):
        assert one.end_samples - MARGIN_SAMPLES <= following.start_samples
    assert all(one.end_samples - one.start_samples <= KEPT_SAMPLES for one in again)
    assert len(model.session._audio._kept) <= 2 * KEPT_SAMPLES


@pytest.mark.parametrize("kind", ["silence", "pink", "brown", "breath", "cough"])
def test_nothing_is_processed_again_without_speech(kind: str) -> None:
    generator = np.random.default_rng(1)
    audio = np.zeros(20 * 16_000, np.float32)
    if kind == "cough":  # one word, far from 1.5 s
        word = SPOKEN.words[0]
        audio[80_000 : 80_000 + word.end_samples - word.start_samples] = SPOKEN.audio[
            word.start_samples : word.end_samples
        ]
    elif kind != "silence":
        audio = background(kind, len(audio), generator) * np.float32(0.05)
    model = stuck_model()
    model.ends_samples = []
    assert heard_again(model.hear(audio)) == []
    assert model.started == 1


def test_old_stretch_restarts_in_a_long_pause_and_loses_no_word() -> None:
    model = stuck_model()
    old = np.zeros(RENEWED_AFTER_SAMPLES - 16_000, np.float32)
    model.ends_samples = [len(old) + end for end in model.ends_samples]
    assert model.hear(old) == []
    outputs = model.hear(np.concatenate([SPOKEN.audio, np.zeros(LONG_PAUSE_SAMPLES + 2 * 16_000, np.float32)]))
    assert model.started == 2
    assert letters(outputs) == "abcdefghijkl"
    assert heard_again(outputs) == []
