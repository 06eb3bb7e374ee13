"""A session of the Realtime engine with a scripted model: where words are, what a commit answers, what is kept."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from shared.session_options import SessionOptions
from tests.engine_sessions import finals
from worker.engines.base import (
    Committed,
    Final,
    Finished,
    History,
    Notice,
    Output,
    Partial,
    SettledWord,
    SpeechStarted,
    SpeechStopped,
)
from worker.engines.voxtral_realtime.loudness import levels_of
from worker.engines.voxtral_realtime.prompt import Prompt
from worker.engines.voxtral_realtime.recall import recalled_tokens
from worker.engines.voxtral_realtime.session import MAX_WORD_SAMPLES, Session
from worker.engines.voxtral_realtime.transcript import ENDPOINT_FRAMES
from worker.engines.voxtral_realtime.vocabulary import Vocabulary

FRAME = 1280
PAD, WORD, BOS = 32, 33, 1
PROMPT = Prompt(BOS, PAD, 4, 480, hop_samples=160, n_fft=400, mel_frames=8)


class _Alphabet:
    """Token 100 + n is the nth letter with a space before it."""

    num_special_tokens = 64

    def get_special_token(self, name: str) -> int:
        return {"[STREAMING_PAD]": PAD, "[STREAMING_WORD]": WORD}[name]

    def encode(self, text: str, bos: bool, eos: bool) -> list[int]:
        return [100 + ord(letter) - ord("a") for letter in text.split()]

    def id_to_byte_piece(self, token: int) -> bytes:
        return b" " + bytes([ord("a") + token - 100])


def heard(session: Session) -> NDArray[np.float32]:
    """How loud the next frame is, once the session has handed its audio out."""
    return levels_of(session.window()[PROMPT.lead_samples : PROMPT.lead_samples + FRAME])


class Script:
    """Says letters for words that end in given frames of the session, whatever the audio is."""

    def __init__(self, words: Mapping[int, str], **options: object) -> None:
        self.session = Session(
            SessionOptions(**options),  # type: ignore[arg-type]
            PROMPT,
            Vocabulary(_Alphabet()),
            start_samples=0,
            segment=0,
            default_delay_ms=480,
        )
        self._said: dict[int, int] = {}
        for frame, letter in words.items():
            self._said |= {frame: WORD, frame + 1: 100 + ord(letter) - ord("a")}
        self._last = PAD

    def run(self) -> list[Output]:
        """Everything that is ready."""
        while self.session.is_ready:
            said_at = self.session.stretch.said_at_samples
            frame = -1 if said_at is None else said_at // FRAME
            token = self._said.get(frame, PAD)
            heard_whole = frame * FRAME < self.session._limit_samples
            if (token == WORD and not heard_whole) or (token not in (PAD, WORD) and self._last != WORD):
                token = PAD  # the word is not in this stretch
            self._last = token
            self.session.take(heard(self.session), token, 1.0)
        return self.session.take_outputs()

    def feed(self, frames: float) -> list[Output]:
        self.session.feed(np.zeros(round(frames * FRAME), np.float32))
        return self.run()


def test_word_is_written_after_its_delay() -> None:
    script = Script({3: "a"}, delay_ms=240)
    assert script.feed(8) == []  # frame 7 is heard 40 samples after its end
    [started, partial] = script.feed(1)
    assert isinstance(started, SpeechStarted)
    assert isinstance(partial, Partial)
    assert (partial.text, partial.heard_samples) == ("a", 8 * FRAME)


def test_segment_ends_in_silence_after_its_last_word() -> None:
    script = Script({3: "a", 6: "b", 40: "c"})
    outputs = script.feed(7 + ENDPOINT_FRAMES + 6 + 2)
    [final] = finals(outputs)
    assert isinstance(outputs[-2], SpeechStopped)
    assert final.text == "a b"
    assert [word.end_samples for word in final.words] == [3 * FRAME + 640, 6 * FRAME + 640]
    assert final.resume_samples == script.session.checkpoint_samples == 7 * FRAME
    script.feed(15)
    assert script.session.checkpoint_samples == 30 * FRAME - MAX_WORD_SAMPLES  # frame 30 was answered last


def test_commit_is_answered_without_more_audio_and_the_session_continues() -> None:
    script = Script({3: "a", 5: "b", 12: "c"})
    assert script.feed(6.5) == []
    script.session.commit()
    outputs = script.run()
    [final] = finals(outputs)
    assert (final.text, final.segment) == ("a b", 0)
    assert final.heard_samples == script.session.checkpoint_samples == round(6.5 * FRAME)
    assert script.session.absorbed_samples == round(6.5 * FRAME)
    assert outputs[-1] == Committed(round(6.5 * FRAME))
    script.session.commit()  # nothing has come since
    assert script.run() == [Committed(round(6.5 * FRAME))]
    script.feed(9.5)
    script.session.finish()
    [last] = finals(outputs := script.run())
    assert (last.text, last.segment) == ("c", 1)
    assert outputs[-1] == Finished()


def test_commits_that_come_together_are_answered_in_order() -> None:
    script = Script({3: "a", 13: "b"})
    session = script.session
    session.feed(np.zeros(10 * FRAME, np.float32))
    session.commit()
    session.feed(np.zeros(10 * FRAME, np.float32))
    session.commit()
    session.finish()
    outputs = script.run()
    assert [final.text for final in finals(outputs)] == ["a", "b"]
    assert [type(output) for output in outputs if not isinstance(output, SpeechStarted | Partial | SpeechStopped)] == [
        Final, Committed, Final, Committed, Finished
    ]  # fmt: skip


def test_finish_without_audio_is_answered_at_once() -> None:
    script = Script({})
    script.session.finish()
    assert script.run() == [Finished()]


def test_part_of_a_frame_is_no_backlog() -> None:
    script = Script({})
    script.feed(2.7)
    assert script.session.absorbed_samples == round(2.7 * FRAME)
    script.session.feed(np.zeros(5 * FRAME, np.float32))
    assert script.session.absorbed_samples == 2 * FRAME


def test_changed_delay_waits_for_the_open_segment_and_loses_no_word() -> None:
    script = Script({3: "a", 20: "b"}, delay_ms=960)
    script.feed(3 + 12 + 3)
    script.session.configure(SessionOptions(delay_ms=160))
    assert script.session.stretch.delay_tokens == 12
    outputs = script.feed(ENDPOINT_FRAMES)
    assert [final.text for final in finals(outputs)] == ["a"]
    assert script.session.stretch.delay_tokens == 2
    script.feed(4)
    script.session.finish()
    assert [final.text for final in finals(script.run())] == ["b"]


def test_changed_delay_in_silence_takes_effect_at_once() -> None:
    script = Script({30: "a"})
    script.feed(25)
    script.session.configure(SessionOptions(delay_ms=80, language="de"))
    assert script.session.stretch.delay_tokens == 1
    script.feed(10)
    script.session.finish()
    [final] = finals(script.run())
    assert (final.text, final.language) == ("a", "de")
    assert final.words[0].end_samples == 30 * FRAME + 640


def test_text_that_is_not_wanted_yet_is_not_shown() -> None:
    script = Script({3: "a"}, partials=False)
    script.session.feed(np.zeros(10 * FRAME, np.float32))
    script.session.finish()
    assert [type(output) for output in script.run()] == [SpeechStarted, SpeechStopped, Final, Finished]


def test_options_without_effect_are_reported_once() -> None:
    script = Script({}, prompt="Names: Ada", temperature=0.5, top_p=0.9)
    notices = [output for output in script.run() if isinstance(output, Notice)]
    assert [notice.code for notice in notices] == ["prompt_ignored", "sampling_ignored"]


def test_checkpoint_waits_for_the_final_of_the_open_segment() -> None:
    script = Script({3: "a", 8: "b", 13: "c"})
    script.feed(5 + PROMPT.delay_tokens(480))
    begun_samples = script.session.checkpoint_samples
    assert begun_samples < 4 * FRAME
    script.feed(12)
    assert script.session.checkpoint_samples == begun_samples, "a new owner hears the words of no final again"
    [final] = finals(script.feed(20))
    assert final.text == "a b c"
    assert script.session.checkpoint_samples >= final.resume_samples == 14 * FRAME


def test_continued_session_counts_from_its_checkpoint() -> None:
    session = Session(
        SessionOptions(), PROMPT, Vocabulary(_Alphabet()), start_samples=8000, segment=4, default_delay_ms=480
    )
    session.feed(np.zeros(5 * FRAME, np.float32))
    said = {8000 + 2 * FRAME: WORD, 8000 + 3 * FRAME: 100}
    session.finish()
    while session.is_ready:
        said_at = session.stretch.said_at_samples
        session.take(heard(session), PAD if said_at is None else said.get(said_at, PAD), 1.0)
    [final] = finals(session.take_outputs())
    assert (final.segment, final.words[0].end_samples) == (4, 8000 + 2 * FRAME + 640)


def test_prompt_equals_that_of_mistral_common(tmp_path: object) -> None:
    from pathlib import Path

    from mistral_common.tokens.tokenizers.mistral import MistralTokenizer

    from tests.tiny.vocabulary import write_tokenizer
    from worker.engines.voxtral_realtime.prompt import FRESH
    from worker.engines.voxtral_realtime.vocabulary import load_vocabulary

    path = write_tokenizer(Path(str(tmp_path)), left_pad_tokens=5)
    _, prompt = load_vocabulary(path.parent)
    instruct = MistralTokenizer.from_file(path).instruct_tokenizer
    for delay_ms in (80, 480, 2400):
        tokens = instruct.start() + instruct.audio_encoder.encode_streaming_tokens(delay_ms)
        delay_tokens = prompt.delay_tokens(delay_ms)
        assert [prompt.token_at(position, delay_tokens) for position in range(len(tokens))] == tokens
        assert prompt.token_at(len(tokens), delay_tokens) == FRESH
        for samples in (1, 1280, 20_000):
            left, right = instruct.audio_encoder._get_streaming_pad(samples, delay_ms)
            assert prompt.positions(samples, delay_tokens) == (left + samples + right) // 1280 - 1


def test_recalled_tokens_have_the_positions_of_the_models_tokens() -> None:
    words = (SettledWord(" a", 8000 + 3 * FRAME + 640), SettledWord(" b", 8000 + 4 * FRAME + 640))
    history = History(8000, words)
    tokens = recalled_tokens(history, 8000 + round(8.5 * FRAME), PROMPT, Vocabulary(_Alphabet()))
    assert tokens == [PAD, PAD, PAD, WORD, 100, WORD, 101, PAD]  # the second word waits for the first one's text
    written = recalled_tokens(history, 8000 + 5 * FRAME, PROMPT, Vocabulary(_Alphabet()))
    assert written == tokens[:7]  # all of a settled word's text, though it is said after the word has ended
    assert recalled_tokens(History(8000, ()), 8000, PROMPT, Vocabulary(_Alphabet())) == []
