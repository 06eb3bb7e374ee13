"""Whisper on CTranslate2: batches of short windows in, tokens and word times out. Knows no session.

The encoder's cost grows with its window, so windows are cut to the audio plus `PADDING_S` (below 2 s the decoder begins
to loop) instead of 30 s. Measured on 2 cores: 15 ms per second of window and 7 ms per token alone, 2 ms per token in a
batch of eight. A decoder on two threads is no faster than on one, so each thread runs a batch of its own. A forced
prefix saves nothing: CTranslate2 walks through it token by token.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
import tokenizers
from faster_whisper.feature_extractor import FeatureExtractor
from faster_whisper.tokenizer import _LANGUAGE_CODES, Tokenizer
from numpy.typing import NDArray

from shared.errors import StartupError
from shared.events import Mode
from worker.engines.whisper import guards
from worker.engines.whisper.batches import Batch, Shape, batched
from worker.engines.whisper.placement import Placement, has_alignment_heads
from worker.engines.whisper.words import TimedWord, spread_words, timed_words, word_groups

SAMPLE_RATE_HZ = 16_000
FRAMES_PER_S = 100
PADDING_S = 2.0
MAX_WINDOW_S = 30.0
DYNAMIC_RANGE = 2.0
"""The front end clips its output this far below its loudest point; digital silence lies there."""
MIN_SAMPLES = 1600
"""The front end mirrors the edges of the audio and needs a little to mirror."""
SAMPLES_PER_FRAME = SAMPLE_RATE_HZ // FRAMES_PER_S
ENGLISH = "en"
MAX_NEW_TOKENS = 224
TOKENS_PER_S = 10.0
"""No language is spoken faster in Whisper's tokens; a decode that is longer has lost its way."""
SPARE_TOKENS = 10
MAX_PROMPT_TOKENS = 100
RETRY_BEAM = 5
RETRY_PADDING_S = 4.0
RETRY_TEMPERATURES = (0.0, 0.4, 0.8)


@dataclass(frozen=True, slots=True)
class Job:
    """One window to decode."""

    pcm: NDArray[np.float32]
    language: str | None
    prompt: str | None = None
    closing: bool = False
    """The text may become final: decode carefully, in a window that depends on this audio alone."""
    cap_tokens: int = MAX_NEW_TOKENS
    """The most tokens that a partial can have; a loop at the edge of the audio would cost the whole batch more."""
    words: bool = False
    translate: bool = False
    """Write it in English, whatever the language is."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What one window says. `words` are there only if the job asked for them."""

    spelled: tuple[str, ...]
    """The text cut into words, each with its leading space where the language has spaces."""
    language: str
    language_probability: float
    log_probability: float
    no_speech_probability: float
    token_count: int
    words: tuple[TimedWord, ...] = ()

    @property
    def text(self) -> str:
        return "".join(self.spelled).strip()


@dataclass(slots=True)
class _Decoded:
    tokens: list[int]
    log_probability: float
    no_speech_probability: float
    hit_cap: bool
    looped: bool = field(init=False)

    def __post_init__(self) -> None:
        start = guards.loop_start(self.tokens)
        self.looped = start is not None
        self.tokens = self.tokens[:start]


class WhisperDecoder:
    """The warm model. `placement.threads` batches run side by side, each on one core."""

    def __init__(self, directory: Path, placement: Placement) -> None:
        try:
            self._model = ctranslate2.models.Whisper(
                str(directory),
                device="cuda" if placement.on_gpu else "cpu",
                device_index=placement.device_index,
                compute_type=placement.compute_type,
                inter_threads=placement.threads,
                intra_threads=1,
            )
            self._vocabulary = tokenizers.Tokenizer.from_file(str(directory / "tokenizer.json"))
        except Exception as error:  # the libraries raise bare Exception and RuntimeError
            raise StartupError(f"The model in {directory} could not be loaded: {error}.") from error
        self._features = FeatureExtractor(feature_size=self._model.n_mels)
        self._placement = placement
        self._english = placement.english or not self._model.is_multilingual
        self._aligns = has_alignment_heads(directory)
        self._pool = ThreadPoolExecutor(placement.threads, thread_name_prefix="whisper")
        self._feature_pool = ThreadPoolExecutor(placement.feature_threads, thread_name_prefix="whisper-features")
        self._tokenizers: dict[tuple[str, bool], Tokenizer] = {}

    @property
    def spectrogram(self) -> dict[str, int]:
        features = self._features
        return {
            "n_mels": int(self._model.n_mels),
            "hop_length": features.hop_length,
            "win_length": features.n_fft,
            "n_fft": features.n_fft,
        }

    @property
    def languages(self) -> tuple[str, ...]:
        """ISO 639-1 codes that the vocabulary has a token for."""
        if self._english:
            return (ENGLISH,)
        return tuple(code for code in _LANGUAGE_CODES if self._vocabulary.token_to_id(f"<|{code}|>") is not None)

    @property
    def modes(self) -> tuple[Mode, ...]:
        """Models of English alone know no other language to translate from."""
        translates = self._placement.translates and not self._english
        return (Mode.TRANSCRIBE, Mode.TRANSLATE) if translates else (Mode.TRANSCRIBE,)

    def run(self, jobs: Sequence[Job]) -> list[Heard]:
        """Decode all jobs, batched by window length; answers are in the order of the jobs."""
        shapes = [self._shape(job) for job in jobs]
        batches = batched(shapes, self._placement.threads, self._placement.limits)
        answers: list[Heard | None] = [None] * len(jobs)
        for batch, heard in zip(batches, self._pool.map(lambda one: self._run_batch(jobs, one), batches), strict=True):
            for index, answer in zip(batch.members, heard, strict=True):
                answers[index] = answer
        return [answer for answer in answers if answer is not None]

    def timed_reference(self, pcm: NDArray[np.float32], text: str, language: str) -> tuple[TimedWord, ...]:
        """Where the words of a known text are spoken, for measurements."""
        frames = round(min(len(pcm) / SAMPLE_RATE_HZ + PADDING_S, MAX_WINDOW_S) * FRAMES_PER_S)
        encoded = self._model.encode(ctranslate2.StorageView.from_array(self._window(pcm, frames)[None]))
        tokens = self._vocabulary.encode(" " + text, add_special_tokens=False).ids
        job = Job(pcm, language, words=True)
        [words] = self._align(encoded, [job], [(language, 1.0)], [_Decoded(tokens, 0.0, 0.0, hit_cap=False)])
        return words

    def _shape(self, job: Job) -> Shape:
        """Windows go in whole seconds, so that they can share a batch."""
        seconds = min(float(np.ceil(len(job.pcm) / SAMPLE_RATE_HZ + PADDING_S)), MAX_WINDOW_S)
        return Shape(seconds, len(self._prompt_tokens(job)), exact=job.closing)

    def _run_batch(self, jobs: Sequence[Job], batch: Batch) -> list[Heard]:
        members = [jobs[index] for index in batch.members]
        frames = round(batch.window_s * FRAMES_PER_S)
        features = self._windows(members, frames)
        encoded = self._model.encode(ctranslate2.StorageView.from_array(features))
        languages = self._languages(members, encoded)
        prompts = [
            self._prompt_tokens(job) + self._start_tokens(language, translate=job.translate)
            for job, (language, _) in zip(members, languages, strict=True)
        ]
        cap_tokens = max(_cap_tokens(job) for job in members)
        decoded = self._generate(encoded, prompts, cap_tokens)
        for row, job in enumerate(members):
            if not job.closing:
                decoded[row].tokens = decoded[row].tokens[: guards.echo_start(decoded[row].tokens)]
            elif self._is_suspect(decoded[row]):
                decoded[row] = self._decode_again(features[row], prompts[row], decoded[row])
        timed = self._align(encoded, members, languages, decoded)
        return [
            Heard(
                self._spelled(one.tokens, language),
                language,
                probability,
                one.log_probability,
                one.no_speech_probability,
                len(one.tokens),
                words,
            )
            for one, (language, probability), words in zip(decoded, languages, timed, strict=True)
        ]

    def _windows(self, jobs: Sequence[Job], frames: int) -> NDArray[np.float32]:
        """`[jobs, mels, frames]`."""
        mapped = map if self._placement.feature_threads == 1 else self._feature_pool.map
        return np.stack(list(mapped(lambda job: self._window(job.pcm, frames), jobs)))

    def _window(self, pcm: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
        """Log-mel of the audio, `[mels, frames]`, filled up with what silence looks like beside it."""
        if len(pcm) < MIN_SAMPLES:
            pcm = np.pad(pcm, (0, MIN_SAMPLES - len(pcm)))
        mel = self._features(pcm[: int(MAX_WINDOW_S * SAMPLE_RATE_HZ)])[:, :frames]
        window = np.full((mel.shape[0], frames), mel.max() - DYNAMIC_RANGE, np.float32)
        window[:, : mel.shape[1]] = mel
        return window

    def _languages(self, jobs: Sequence[Job], encoded: Any) -> list[tuple[str, float]]:
        """Each job's language and how sure it is; the encoder's output is asked only if a job does not say."""
        if self._english:
            return [(ENGLISH, 1.0)] * len(jobs)
        if all(job.language for job in jobs):
            return [(job.language or "", 1.0) for job in jobs]
        detected = self._model.detect_language(encoded)
        return [
            (job.language, 1.0) if job.language else (found[0][0].strip("<|>"), float(found[0][1]))
            for job, found in zip(jobs, detected, strict=True)
        ]

    def _generate(
        self, encoded: Any, prompts: list[list[int]], cap_tokens: int, *, beam: int = 1, temperature: float = 0.0
    ) -> list[_Decoded]:
        results = self._model.generate(
            encoded,
            prompts,
            beam_size=beam if temperature == 0 else 1,
            sampling_topk=1 if temperature == 0 else 0,
            sampling_temperature=temperature or 1.0,
            # CTranslate2 caps new tokens at the lesser of half of this and what the prompt leaves of it.
            max_length=max(2 * cap_tokens, cap_tokens + len(prompts[0])),
            return_scores=True,
            return_no_speech_prob=True,
        )
        return [
            _Decoded(
                result.sequences_ids[0],
                result.scores[0],
                result.no_speech_prob,
                len(result.sequences_ids[0]) >= cap_tokens,
            )
            for result in results
        ]

    def _is_suspect(self, decoded: _Decoded) -> bool:
        text = self._vocabulary.decode(decoded.tokens)
        return guards.is_suspect(text, decoded.log_probability, looped=decoded.looped, hit_cap=decoded.hit_cap)

    def _decode_again(self, features: NDArray[np.float32], prompt: list[int], first: _Decoded) -> _Decoded:
        """More padding, a beam, then rising temperatures, until one decode is not suspect; else the likeliest.

        Not the standard 30 s: with a beam, the decoder's memory of such a window is 180 MB.
        """
        frames = min(features.shape[1] + round(RETRY_PADDING_S * FRAMES_PER_S), round(MAX_WINDOW_S * FRAMES_PER_S))
        window = np.full((1, features.shape[0], frames), features.max() - DYNAMIC_RANGE, np.float32)
        window[0, :, : features.shape[1]] = features
        encoded = self._model.encode(ctranslate2.StorageView.from_array(window))
        tried = [first]
        for temperature in RETRY_TEMPERATURES:
            ctranslate2.set_random_seed(0)
            [decoded] = self._generate(encoded, [prompt], MAX_NEW_TOKENS, beam=RETRY_BEAM, temperature=temperature)
            if not self._is_suspect(decoded):
                return decoded
            tried.append(decoded)
        return max(tried, key=lambda decoded: (not decoded.looped, decoded.log_probability))

    def _align(
        self,
        encoded: Any,
        jobs: Sequence[Job],
        languages: Sequence[tuple[str, float]],
        decoded: Sequence[_Decoded],
    ) -> list[tuple[TimedWord, ...]]:
        """Word times for the jobs that want them; one call for each way to start, since the start tokens name it."""
        timed: list[tuple[TimedWord, ...]] = [()] * len(jobs)
        rows_of: dict[tuple[str, bool], list[int]] = {}
        for row, job in enumerate(jobs):
            if job.words and decoded[row].tokens:
                rows_of.setdefault((languages[row][0], job.translate), []).append(row)
        for (language, translate), rows in rows_of.items():
            tokenizer = self._tokenizer(language, translate=translate)
            if not self._aligns:
                for row in rows:
                    pieces, _ = tokenizer.split_to_word_tokens(decoded[row].tokens)
                    timed[row] = spread_words(pieces, len(jobs[row].pcm))
                continue
            view = encoded if len(rows) == len(jobs) else _chosen(encoded, rows)
            lengths = [min(len(jobs[row].pcm) // SAMPLES_PER_FRAME, round(MAX_WINDOW_S * FRAMES_PER_S)) for row in rows]
            tokens = [decoded[row].tokens for row in rows]
            for row, found in zip(rows, self._model.align(view, tokenizer.sot_sequence, tokens, lengths), strict=True):
                pieces, groups = tokenizer.split_to_word_tokens(decoded[row].tokens)
                counts = [len(group) for group in groups]
                timed[row] = timed_words(pieces, counts, found.alignments, len(jobs[row].pcm))
        return timed

    def _spelled(self, tokens: list[int], language: str) -> tuple[str, ...]:
        texts, _ = self._tokenizer(language).split_to_word_tokens(tokens)
        return tuple("".join(texts[group.start : group.stop]) for group in word_groups(texts))

    def _prompt_tokens(self, job: Job) -> list[int]:
        if not job.prompt:
            return []
        tokens = self._vocabulary.encode(" " + job.prompt.strip(), add_special_tokens=False).ids
        return [self._tokenizer("en").sot_prev, *tokens[-MAX_PROMPT_TOKENS:]]

    def _start_tokens(self, language: str, *, translate: bool) -> list[int]:
        tokenizer = self._tokenizer(language, translate=translate)
        return [*tokenizer.sot_sequence, tokenizer.no_timestamps]

    def _tokenizer(self, language: str, *, translate: bool = False) -> Tokenizer:
        if (language, translate) not in self._tokenizers:
            task = "translate" if translate else "transcribe"
            self._tokenizers[language, translate] = Tokenizer(
                self._vocabulary, self._model.is_multilingual, task=task, language=language
            )
        return self._tokenizers[language, translate]


def _chosen(encoded: Any, rows: Sequence[int]) -> Any:
    """Some rows of the encoder's output. Only this copies it to the host; batches of one language stay on the GPU."""
    on_host = np.array(encoded.to_device(ctranslate2.Device.cpu))
    return ctranslate2.StorageView.from_array(np.ascontiguousarray(on_host[rows]))


def _cap_tokens(job: Job) -> int:
    return min(MAX_NEW_TOKENS, job.cap_tokens, SPARE_TOKENS + round(TOKENS_PER_S * len(job.pcm) / SAMPLE_RATE_HZ))
