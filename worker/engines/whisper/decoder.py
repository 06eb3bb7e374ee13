"""Whisper on CTranslate2: decodes batches of windows to words with times. Independent of sessions.

The encoder's cost grows with its window, so windows are cut to the audio plus `PADDING_S` instead of 30 s. Answers have
timestamps: without them the decoder does not stop at the end of the speech in such short windows, and starts again. An
answer can be forced to begin with words that are already settled; CTranslate2 steps through them token by token, so
they cost as much as new ones. Measured on 2 cores: 10 to 19 ms per second of window and 6 to 11 ms per token alone, a
third of that per token in a batch of eight. A decoder on two threads is no faster than on one, so each thread runs its
own batch.
"""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
import tokenizers
from numpy.typing import NDArray

from shared.errors import StartupError
from shared.session_options import KeyTerm, Mode
from worker.engines.loading.faster_whisper_internals import LANGUAGE_CODES, FeatureExtractor, Tokenizer
from worker.engines.whisper import guards
from worker.engines.whisper.batches import Batch, Shape, batched
from worker.engines.whisper.encoded import FRAMES_PER_S, MAX_WINDOW_S, SAMPLE_RATE_HZ, aligned_frames, chosen
from worker.engines.whisper.languages import Probabilities
from worker.engines.whisper.placement import Placement, has_alignment_heads
from worker.engines.whisper.rescoring import Rescoring, Text, pieces_of
from worker.engines.whisper.words import HeardWord, Spelling, spelling, spread_words, timed_words

PADDING_S = 2.0
DYNAMIC_RANGE = 2.0
"""The front end clips its output this far below its loudest point; digital silence has this value."""
MIN_SAMPLES = 1600
"""The front end mirrors the edges of the audio and needs a few samples to mirror."""
SECONDS_PER_TIMESTAMP = 0.02
ENGLISH = "en"
MAX_NEW_TOKENS = 224
TOKENS_PER_S = 10.0
"""No language is spoken faster in Whisper's tokens; a longer answer is a decoding error."""
SPARE_TOKENS = 12
MAX_POSITIONS = 448
"""The decoder's limit: tokens of the prompt and of the answer together."""
MAX_PROMPT_TOKENS = MAX_POSITIONS // 2 - 1
"""Only the last tokens of a longer prompt are used, as in OpenAI's own `transcribe`."""
RETRY_BEAM = 5
MIN_DETECTED_S = 10
"""Detection is better in windows of at least this length: on single words, with half the errors of 2 s of padding."""
MAX_DETECTED = 8
"""Segments of speech whose language is detected together."""
EDGE_S = 0.1
"""Text after a timestamp this close to the end of the audio is made up."""


@dataclass(frozen=True, slots=True)
class Job:
    """One window to decode."""

    pcm: NDArray[np.float32]
    language: str
    prompt: str | None = None
    forced: tuple[int, ...] = ()
    """Tokens that the answer begins with: words of this window that are already settled."""
    closing: bool = False
    """The text may become final: decode with more care, in a window that depends on this audio alone."""
    cap_tokens: int = MAX_NEW_TOKENS
    """The most new tokens that a partial can have; a loop at the edge of the audio would slow the whole batch more."""
    lead_samples: int = 0
    """Silence to add before the audio: otherwise speech that begins at once appears twice in the answer."""
    speech_end_samples: int | None = None
    """No speech in `pcm` comes after this position; None: its end."""
    beam_below: float = -inf
    """An answer with a lower log-probability is decoded again with a beam, which is slower and mostly better."""
    translate: bool = False
    """Translate into English, whatever the language is."""
    keyterms: tuple[KeyTerm, ...] = ()


@dataclass(frozen=True, slots=True)
class Heard:
    """The decoded text of one window, after the forced words."""

    words: tuple[HeardWord, ...]
    lead: str
    """Punctuation before the first word; it belongs to the last forced word."""
    lead_tokens: tuple[int, ...]
    language: str
    log_probability: float
    """Mean of the new tokens."""
    no_speech_probability: float
    token_count: int

    @property
    def word_probability(self) -> float:
        """The mean over the words; 1 if there are none."""
        return sum(word.probability for word in self.words) / len(self.words) if self.words else 1.0

    @property
    def text(self) -> str:
        return "".join(word.text + word.mark for word in self.words).strip()


@dataclass(frozen=True, slots=True)
class _Decoded:
    """The new text tokens of one answer."""

    tokens: list[int]
    log_probability: float
    no_speech_probability: float
    hit_cap: bool


class WhisperDecoder:
    """The warm model. `placement.threads` batches run in parallel, each on one core."""

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
        self._rescoring = Rescoring(self._model, self._tokenizer, self.tokens, MAX_PROMPT_TOKENS, MAX_POSITIONS)

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
        return tuple(code for code in LANGUAGE_CODES if self._vocabulary.token_to_id(f"<|{code}|>") is not None)

    @property
    def modes(self) -> tuple[Mode, ...]:
        """English-only models have no other language to translate from."""
        translates = self._placement.translates and not self._english
        return (Mode.TRANSCRIBE, Mode.TRANSLATE) if translates else (Mode.TRANSCRIBE,)

    def run(self, jobs: Sequence[Job]) -> list[Heard]:
        """Decode all jobs, batched by window length; answers are in the order of the jobs."""
        jobs = [_with_lead(job) for job in jobs]
        shapes = [self._shape(job) for job in jobs]
        batches = batched(shapes, self._placement.threads, self._placement.limits)
        answers: list[Heard | None] = [None] * len(jobs)
        for batch, heard in zip(batches, self._pool.map(lambda one: self._run_batch(jobs, one), batches), strict=True):
            for index, answer in zip(batch.members, heard, strict=True):
                answers[index] = answer
        return [answer for answer in answers if answer is not None]

    def start(self, job: Job) -> Future[Heard]:
        """Decode a job by itself, in parallel with other calls."""
        job = _with_lead(job)
        batch = Batch(self._shape(job).window_s, 0, [0])
        return self._pool.submit(lambda: self._run_batch([job], batch)[0])

    def detect(self, pcms: Sequence[NDArray[np.float32]]) -> list[Probabilities]:
        """The probability of each language in each of these segments of speech."""
        if self._english:
            return [{ENGLISH: 1.0}] * len(pcms)
        windows = sorted(range(len(pcms)), key=lambda index: len(pcms[index]))
        found: list[Probabilities] = [{}] * len(pcms)
        groups = [windows[start : start + MAX_DETECTED] for start in range(0, len(windows), MAX_DETECTED)]
        for group, answers in zip(groups, self._pool.map(lambda one: self._detected(pcms, one), groups), strict=True):
            for index, answer in zip(group, answers, strict=True):
                found[index] = answer
        return found

    def timed_reference(self, pcm: NDArray[np.float32], text: str, language: str) -> tuple[HeardWord, ...]:
        """Times of the words of a known text, for measurements."""
        frames = self._frames(pcm)
        encoded = self._model.encode(ctranslate2.StorageView.from_array(self._window(pcm, frames)[None]))
        tokens = self._vocabulary.encode(" " + text, add_special_tokens=False).ids
        [(_, words)] = self._align(encoded, [Job(pcm, language)], [language], [tokens])
        return words

    def tokens(self, text: str) -> tuple[int, ...]:
        """The tokens of a text as it stands, leading space included."""
        return tuple(self._vocabulary.encode(text, add_special_tokens=False).ids)

    def unused_prompt(self, prompt: str | None) -> str:
        """The beginning of a prompt that the model has no room for; empty if the prompt fits."""
        tokens = self.tokens(" " + prompt.strip()) if prompt else ()
        return str(self._vocabulary.decode(list(tokens[:-MAX_PROMPT_TOKENS]))).strip()

    def _frames(self, pcm: NDArray[np.float32]) -> int:
        """Windows have whole seconds, so that they can share a batch."""
        seconds = min(float(np.ceil(len(pcm) / SAMPLE_RATE_HZ + PADDING_S)), MAX_WINDOW_S)
        return round(seconds * FRAMES_PER_S)

    def _shape(self, job: Job) -> Shape:
        return Shape(self._frames(job.pcm) / FRAMES_PER_S, len(self._prompt_tokens(job)), exact=job.closing)

    def _detected(self, pcms: Sequence[NDArray[np.float32]], group: Sequence[int]) -> list[Probabilities]:
        frames = max(*(self._frames(pcms[index]) for index in group), MIN_DETECTED_S * FRAMES_PER_S)
        features = self._windows([pcms[index] for index in group], frames)
        encoded = self._model.encode(ctranslate2.StorageView.from_array(features))
        return [_probabilities(one) for one in self._model.detect_language(encoded)]

    def _run_batch(self, jobs: Sequence[Job], batch: Batch) -> list[Heard]:
        members = [jobs[index] for index in batch.members]
        frames = round(batch.window_s * FRAMES_PER_S)
        features = self._windows([job.pcm for job in members], frames)
        encoded = self._model.encode(ctranslate2.StorageView.from_array(features))
        languages = [ENGLISH if self._english else job.language for job in members]
        prompts = [self._prompt(job, language) for job, language in zip(members, languages, strict=True)]
        cap_tokens = max(_cap_tokens(job) + len(job.forced) for job in members)
        decoded = self._generate(encoded, members, prompts, cap_tokens)
        for row, job in enumerate(members):
            if decoded[row].log_probability < job.beam_below or (job.closing and self._is_suspect(decoded[row])):
                decoded[row] = self._decode_again(chosen(encoded, [row]), job, prompts[row], decoded[row])
        aligned = self._align(encoded, members, languages, [one.tokens for one in decoded])
        for row, (job, language) in enumerate(zip(members, languages, strict=True)):
            if job.keyterms and self._aligns and aligned[row][1]:
                audio = encoded, row, len(job.pcm), job.forced, language
                text = Text(*audio, job.translate, job.closing, job.prompt, aligned[row])
                aligned[row] = self._rescoring.with_terms(text, job.keyterms)
        return [
            Heard(
                tuple(word.earlier(job.lead_samples) for word in words),
                "".join(piece.text for piece in spelled.lead),
                tuple(token for piece in spelled.lead for token in piece.tokens),
                language,
                one.log_probability,
                one.no_speech_probability,
                len(one.tokens),
            )
            for job, one, language, (spelled, words) in zip(members, decoded, languages, aligned, strict=True)
        ]

    def _windows(self, pcms: Sequence[NDArray[np.float32]], frames: int) -> NDArray[np.float32]:
        """`[windows, mels, frames]`."""
        mapped = map if self._placement.feature_threads == 1 else self._feature_pool.map
        return np.stack(list(mapped(lambda pcm: self._window(pcm, frames), pcms)))

    def _window(self, pcm: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
        """Log-mel of the audio, `[mels, frames]`, padded with the values of silence."""
        if len(pcm) < MIN_SAMPLES:
            pcm = np.pad(pcm, (0, MIN_SAMPLES - len(pcm)))
        mel = self._features(pcm[: int(MAX_WINDOW_S * SAMPLE_RATE_HZ)])[:, :frames]
        window = np.full((mel.shape[0], frames), mel.max() - DYNAMIC_RANGE, np.float32)
        window[:, : mel.shape[1]] = mel
        return window

    def _generate(
        self, encoded: Any, jobs: Sequence[Job], prompts: list[list[int]], cap_tokens: int, *, beam: int = 1
    ) -> list[_Decoded]:
        # CTranslate2 limits new tokens to half of this, or to what the prompt leaves of it if that is less.
        longest = max(2 * cap_tokens, cap_tokens + len(prompts[0]))
        if cap_tokens + max(map(len, prompts)) > MAX_POSITIONS:
            longest = min(longest, MAX_POSITIONS)
        results = self._model.generate(
            encoded,
            prompts,
            beam_size=beam,
            max_length=longest,
            return_scores=True,
            return_no_speech_prob=True,
        )
        return [self._decoded(result, job, cap_tokens) for result, job in zip(results, jobs, strict=True)]

    def _decoded(self, result: Any, job: Job, cap_tokens: int) -> _Decoded:
        """The new part of an answer, up to the end of the audio by the decoder's own timestamps."""
        tokens = result.sequences_ids[0]
        new = tokens[1 + len(job.forced) :]
        end_samples = len(job.pcm) if job.speech_end_samples is None else job.speech_end_samples
        limit = self._timestamp_begin + round((end_samples / SAMPLE_RATE_HZ - EDGE_S) / SECONDS_PER_TIMESTAMP)
        said: list[int] = []
        for token in new:
            if token >= limit and said:
                break
            if token < self._timestamp_begin:
                said.append(token)
        log_probability = result.scores[0] * len(tokens) / max(len(new), 1)
        return _Decoded(said, log_probability, result.no_speech_prob, len(tokens) >= cap_tokens)

    def _is_suspect(self, decoded: _Decoded) -> bool:
        text = self._vocabulary.decode(decoded.tokens)
        return guards.is_suspect(text, decoded.log_probability, hit_cap=decoded.hit_cap)

    def _decode_again(self, encoded: Any, job: Job, prompt: list[int], first: _Decoded) -> _Decoded:
        """Decode with a beam; return the likelier of both answers if that is suspect, too. Nothing is random."""
        [second] = self._generate(encoded, [job], [prompt], MAX_NEW_TOKENS, beam=RETRY_BEAM)
        if not self._is_suspect(second):
            return second
        return max(first, second, key=lambda decoded: (not decoded.hit_cap, decoded.log_probability))

    def _align(
        self, encoded: Any, jobs: Sequence[Job], languages: Sequence[str], new_tokens: Sequence[list[int]]
    ) -> list[tuple[Spelling, tuple[HeardWord, ...]]]:
        """Words and their times; one call for each start sequence, since the start tokens are an argument of it."""
        found: list[tuple[Spelling, tuple[HeardWord, ...]]] = [(Spelling((), ()), ())] * len(jobs)
        rows_of: dict[tuple[str, bool], list[int]] = {}
        for row, job in enumerate(jobs):
            if new_tokens[row]:
                rows_of.setdefault((languages[row], job.translate), []).append(row)
        for (language, translate), rows in rows_of.items():
            tokenizer = self._tokenizer(language, translate)
            if not self._aligns:
                for row in rows:
                    spelled = spelling(pieces_of(tokenizer, new_tokens[row]))
                    found[row] = (spelled, spread_words(spelled, len(jobs[row].pcm)))
                continue
            view = encoded if len(rows) == len(jobs) else chosen(encoded, rows)
            lengths = [aligned_frames(len(jobs[row].pcm)) for row in rows]
            tokens = [[*jobs[row].forced, *new_tokens[row]] for row in rows]
            for row, one in zip(rows, self._model.align(view, tokenizer.sot_sequence, tokens, lengths), strict=True):
                spelled = spelling(pieces_of(tokenizer, new_tokens[row]))
                words = timed_words(
                    spelled,
                    one.alignments,
                    one.text_token_probs,
                    first_token=len(jobs[row].forced),
                    length_samples=len(jobs[row].pcm),
                )
                found[row] = (spelled, words)
        return found

    def _prompt_tokens(self, job: Job) -> list[int]:
        terms = "" if self._aligns else ", ".join(one.term for one in job.keyterms)
        prompt = " ".join(part for part in (terms, job.prompt) if part)
        if not prompt:
            return []
        return [self._tokenizer("en").sot_prev, *self.tokens(" " + prompt.strip())[-MAX_PROMPT_TOKENS:]]

    def _prompt(self, job: Job, language: str) -> list[int]:
        tokenizer = self._tokenizer(language, job.translate)
        return [*self._prompt_tokens(job), *tokenizer.sot_sequence, self._timestamp_begin, *job.forced]

    def _tokenizer(self, language: str, translate: bool = False) -> Tokenizer:
        if (language, translate) not in self._tokenizers:
            task = "translate" if translate else "transcribe"
            self._tokenizers[language, translate] = Tokenizer(
                self._vocabulary, self._model.is_multilingual, task=task, language=language
            )
        return self._tokenizers[language, translate]

    @property
    def _timestamp_begin(self) -> int:
        return self._tokenizer("en").timestamp_begin


def _with_lead(job: Job) -> Job:
    """The job, with its silence added to its audio."""
    if not job.lead_samples:
        return job
    end = None if job.speech_end_samples is None else job.speech_end_samples + job.lead_samples
    return replace(job, pcm=np.pad(job.pcm, (job.lead_samples, 0)), speech_end_samples=end)


def _cap_tokens(job: Job) -> int:
    """The most tokens of an answer, without its first timestamp and the forced tokens."""
    return 1 + min(MAX_NEW_TOKENS, job.cap_tokens, SPARE_TOKENS + round(TOKENS_PER_S * len(job.pcm) / SAMPLE_RATE_HZ))


def _probabilities(found: Sequence[tuple[str, float]]) -> dict[str, float]:
    return {token.strip("<|>"): float(probability) for token, probability in found}
