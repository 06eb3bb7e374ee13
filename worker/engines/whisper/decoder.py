"""Whisper: decodes windows to words with times. Independent of sessions.

The encoder's cost grows with its window, so windows are cut to the audio plus `PADDING_S` instead of 30 s. Answers have
timestamps: without them the decoder does not stop at the end of the speech in such short windows, and starts again. An
answer can be forced to begin with words that are already settled.

CTranslate2 decodes batches, on a GPU or a thread of the CPU each. It steps through forced words token by token, so they
cost as much as new ones: 6 to 11 ms per token on a CPU, a third of that in a batch of eight. `onnx_model` decodes live
windows on a CPU one by one, in less than half the time.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import ctranslate2
import numpy as np
import tokenizers
from numpy.typing import NDArray

from shared.errors import StartupError
from shared.events import SAMPLE_RATE_HZ
from shared.session_options import Mode
from worker.engines.loading.faster_whisper_internals import LANGUAGE_CODES, FeatureExtractor, Tokenizer
from worker.engines.whisper.alignment_heads import with_alignment_heads
from worker.engines.whisper.answers import MAX_POSITIONS, Answers, Said
from worker.engines.whisper.batches import Batch, Shape, batched
from worker.engines.whisper.encoded import FRAMES_PER_S, MAX_WINDOW_S, Encoded, aligned_frames, chosen
from worker.engines.whisper.guards import LOG_PROBABILITY_LIMIT
from worker.engines.whisper.identity import check_tokenizer
from worker.engines.whisper.jobs import Heard, Job
from worker.engines.whisper.languages import Probabilities
from worker.engines.whisper.onnx_model.encoded_window import EncodedWindow
from worker.engines.whisper.onnx_model.model import OnnxWhisper, SpecialTokens
from worker.engines.whisper.placement import Placement
from worker.engines.whisper.repeat_count import counted
from worker.engines.whisper.rescoring import Rescoring, Text, pieces_of
from worker.engines.whisper.words import HeardWord, Spelling, spelling, timed_words

PADDING_S = 2.0
LONG_PADDING_S = 1.0
LONG_PADDING_FROM_S = 7.0
"""Partials need less padding, except short ones, whose text often becomes a loop: windows of this length and more have
`LONG_PADDING_S`."""
DYNAMIC_RANGE = 2.0
"""The front end clips its output this far below its loudest point; digital silence has this value."""
MIN_SAMPLES = 1600
"""The front end mirrors the edges of the audio and needs a few samples to mirror."""
ENGLISH = "en"
MAX_PROMPT_TOKENS = MAX_POSITIONS // 2 - 1
"""Only the last tokens of a longer prompt are used, as in OpenAI's own `transcribe`."""
RESERVED_POSITIONS = 64
"""For the start of the answer and its new tokens: many forced words shorten the prompt."""
MIN_DETECTED_FRAMES = 10 * FRAMES_PER_S
"""Detection is better in windows of at least 10 s: on single words, with half the errors of 2 s of padding."""
RECOUNTED_FRAMES = 20 * FRAMES_PER_S
"""Answers that repeat themselves are decoded again in a window of 20 s. Measured on 62 repetitions as recordings: 116
words are wrong with 2 s of padding alone, often one repetition too many; 72 are with this."""
DOUBTED_WINDOW_S = 10.0
"""Unlikely answers in shorter windows are decoded again in a window of this length. Measured on 342 words in short
phrases: 52 instead of 73 are wrong; of 96 single words over the telephone, 17 instead of 26."""
T = TypeVar("T")


class WhisperDecoder:
    """The warm model. `placement.threads` batches run in parallel, each on one core."""

    def __init__(self, directory: Path, placement: Placement, *, live: bool = True) -> None:
        """`live`: some jobs are those of live sessions."""
        self._placement = placement
        self._tokenizers: dict[tuple[str, bool], Tokenizer] = {}
        with with_alignment_heads(directory) as loaded:
            try:
                self._model = ctranslate2.models.Whisper(
                    str(loaded),
                    device="cuda" if placement.on_gpu else "cpu",
                    device_index=placement.device_index,
                    compute_type=placement.compute_type,
                    inter_threads=placement.threads,
                    intra_threads=1,
                )
                self._vocabulary = tokenizers.Tokenizer.from_file(str(directory / "tokenizer.json"))
                self._vocabulary.encode_special_tokens = True  # a client's text has no tokens of control
            except Exception as error:  # the libraries raise bare Exception and RuntimeError
                raise StartupError(f"The model in {directory} could not be loaded: {error}.") from error
            check_tokenizer(directory, self._vocabulary)
            uses_onnx = live and placement.allows_onnx
            self._onnx = OnnxWhisper.load(loaded, self._special_tokens()) if uses_onnx else None
        tokens = {code: self._vocabulary.token_to_id(f"<|{code}|>") for code in LANGUAGE_CODES}
        self._language_tokens = {code: token for code, token in tokens.items() if token is not None}
        self._features = FeatureExtractor(feature_size=self._model.n_mels)
        self._english = placement.english or not self._model.is_multilingual
        self._pool = ThreadPoolExecutor(placement.threads, thread_name_prefix="whisper")
        self._feature_pool = ThreadPoolExecutor(placement.feature_threads, thread_name_prefix="whisper-features")
        self._answers = Answers(self._model, self._vocabulary, self._timestamp_begin)
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
    def is_multilingual(self) -> bool:
        """Whether the vocabulary has languages."""
        return bool(self._model.is_multilingual)

    @property
    def decodes_singly(self) -> bool:
        """Whether live windows share no batches."""
        return self._onnx is not None

    @property
    def threads(self) -> int:
        """Windows or batches that are decoded in parallel."""
        return self._placement.threads

    @property
    def languages(self) -> tuple[str, ...]:
        """ISO 639-1 codes that the vocabulary has a token for."""
        if self._english:
            return (ENGLISH,)
        return tuple(self._language_tokens)

    @property
    def modes(self) -> tuple[Mode, ...]:
        """English-only models have no other language to translate from."""
        translates = self._placement.translates and not self._english
        return (Mode.TRANSCRIBE, Mode.TRANSLATE) if translates else (Mode.TRANSCRIBE,)

    def run(self, jobs: Sequence[Job]) -> list[Heard]:
        """Decode all jobs, batched by window length; answers are in the order of the jobs."""
        jobs = [_with_lead(job) for job in jobs]
        return self._batched([self._shape(job) for job in jobs], lambda batch: self._run_batch(jobs, batch))

    def start(self, job: Job) -> Future[Heard]:
        """Decode a job by itself, as soon as a thread is free."""
        job = _with_lead(job)
        [batch] = batched([self._shape(job)], 1, self._placement.limits)
        return self._pool.submit(lambda: self._run_batch([job], batch)[0])

    def detect(self, pcms: Sequence[NDArray[np.float32]], *, is_live: bool = False) -> list[Probabilities]:
        """The probability of each language in each of these segments of speech. `is_live`: as in `Job`."""
        if self._english:
            return [{ENGLISH: 1.0}] * len(pcms)
        if is_live and self._onnx is not None:  # on this thread: the others may be busy with windows
            return list(map(self._detected_alone, pcms))
        shapes = [Shape(self._detected_frames(pcm) / FRAMES_PER_S, 0, exact=True) for pcm in pcms]
        return self._batched(shapes, lambda batch: self._detected(pcms, batch))

    def timed_reference(self, pcm: NDArray[np.float32], text: str, language: str) -> tuple[HeardWord, ...]:
        """Times of the words of a known text, for measurements."""
        frames = self._frames(pcm)
        window = ctranslate2.StorageView.from_array(self._window(pcm, frames)[None])
        encoded = Encoded(self._model.encode(window))
        tokens = self._vocabulary.encode(" " + text, add_special_tokens=False).ids
        [(_, words)] = self._align(encoded, [Job(pcm, language)], [language], [Said(tokens, 0.0, 0.0, is_cut=False)])
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
        alone = job.is_live and self._onnx is not None
        window_s = self._frames(job.pcm) / FRAMES_PER_S
        if alone and not job.closing:
            long_s = round(len(job.pcm) / SAMPLE_RATE_HZ + LONG_PADDING_S, 2)
            window_s = min(window_s, max(long_s, LONG_PADDING_FROM_S))
        return Shape(window_s, len(self._prompt_tokens(job)), exact=job.closing, alone=alone)

    def _batched(self, shapes: Sequence[Shape], done: Callable[[Batch], Sequence[T]]) -> list[T]:
        """What batches of these shapes give, in their order."""
        batches = batched(shapes, self._placement.threads, self._placement.limits)
        found: dict[int, T] = {}
        for batch, answers in zip(batches, self._pool.map(done, batches), strict=True):
            found.update(zip(batch.members, answers, strict=True))
        return [found[index] for index in range(len(shapes))]

    def _detected_frames(self, pcm: NDArray[np.float32]) -> int:
        """Only this audio decides: in longer windows the same speech gets other probabilities."""
        return max(self._frames(pcm), MIN_DETECTED_FRAMES)

    def _detected_alone(self, pcm: NDArray[np.float32]) -> Probabilities:
        assert self._onnx is not None
        window = EncodedWindow(self._onnx, self._window(pcm, self._detected_frames(pcm)))
        tokens = self._language_tokens
        return dict(zip(tokens, window.languages(list(tokens.values())), strict=True))

    def _detected(self, pcms: Sequence[NDArray[np.float32]], batch: Batch) -> list[Probabilities]:
        features = self._windows([pcms[index] for index in batch.members], round(batch.window_s * FRAMES_PER_S))
        encoded = self._model.encode(ctranslate2.StorageView.from_array(features))
        return [_probabilities(one) for one in self._model.detect_language(encoded)]

    def _run_batch(self, jobs: Sequence[Job], batch: Batch) -> list[Heard]:
        heard = self._decoded(jobs, batch)
        return [self._heard_again(jobs[index], one, batch) for index, one in zip(batch.members, heard, strict=True)]

    def _heard_again(self, job: Job, heard: Heard, batch: Batch) -> Heard:
        """The answer in a longer window, if the one in a short window is unlikely and that one is likelier."""
        if not job.closing or heard.log_probability >= LOG_PROBABILITY_LIMIT or batch.window_s >= DOUBTED_WINDOW_S:
            return heard
        [again] = self._decoded([job], replace(batch, window_s=DOUBTED_WINDOW_S, members=[0]))
        if again.log_probability <= heard.log_probability:
            return heard
        # In long windows the model reports less "no speech", also for noise.
        return replace(again, no_speech_probability=max(heard.no_speech_probability, again.no_speech_probability))

    def _decoded(self, jobs: Sequence[Job], batch: Batch) -> list[Heard]:
        members = [jobs[index] for index in batch.members]
        frames = round(batch.window_s * FRAMES_PER_S)
        features = self._windows([job.pcm for job in members], frames)
        encoded = self._encoded(features, alone=batch.alone)
        languages = [ENGLISH if self._english else job.language for job in members]
        prompts = [self._prompt(job, language) for job, language in zip(members, languages, strict=True)]
        lengthened = partial(self._lengthened, frames=frames, alone=batch.alone)
        decoded = self._answers.find(encoded, members, prompts, lengthened)
        aligned = self._align(encoded, members, languages, decoded)
        for row, (job, language) in enumerate(zip(members, languages, strict=True)):
            if job.keyterms and aligned[row][1]:
                audio = encoded.rows, row, len(job.pcm), job.forced, language
                text = Text(*audio, job.translate, job.closing, job.prompt, aligned[row])
                aligned[row] = self._rescoring.with_terms(text, job.keyterms)
            if job.closing and not job.translate:
                spelled, words = aligned[row]
                aligned[row] = spelled, counted(words, features[row], has_context=bool(job.forced))
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

    def _encoded(self, features: NDArray[np.float32], *, alone: bool) -> Encoded:
        if self._onnx is None or not alone:
            return Encoded(self._model.encode(ctranslate2.StorageView.from_array(features)))
        window = EncodedWindow(self._onnx, features[0])
        return Encoded(ctranslate2.StorageView.from_array(window.encoded[None]), window)

    def _lengthened(self, job: Job, *, frames: int, alone: bool) -> Encoded | None:
        """The job by itself in a window of `RECOUNTED_FRAMES`; None if its window of `frames` is as long already."""
        if frames >= RECOUNTED_FRAMES:
            return None
        return self._encoded(self._windows([job.pcm], RECOUNTED_FRAMES), alone=alone)

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

    def _align(
        self, encoded: Encoded, jobs: Sequence[Job], languages: Sequence[str], said: Sequence[Said]
    ) -> list[tuple[Spelling, tuple[HeardWord, ...]]]:
        """Words and their times; one call for each start sequence, since the start tokens are an argument of it."""
        found: list[tuple[Spelling, tuple[HeardWord, ...]]] = [(Spelling((), ()), ())] * len(jobs)
        rows_of: dict[tuple[str, bool], list[int]] = {}
        for row, job in enumerate(jobs):
            if said[row].tokens:
                rows_of.setdefault((languages[row], job.translate), []).append(row)
        for (language, translate), rows in rows_of.items():
            tokenizer = self._tokenizer(language, translate)
            lengths = [aligned_frames(len(jobs[row].pcm)) for row in rows]
            if encoded.window is not None:
                [job], [one] = jobs, said
                if one.reading is None or job.closing:
                    texts = job.forced, one.tokens
                    alignments: Any = [encoded.window.align(tokenizer.sot_sequence, *texts, lengths[0])]
                else:
                    alignments = [one.reading.align(one.places, lengths[0])]
            else:
                view = encoded.rows if len(rows) == len(jobs) else chosen(encoded.rows, rows)
                whole = [[*jobs[row].forced, *said[row].tokens] for row in rows]
                alignments = self._model.align(view, tokenizer.sot_sequence, whole, lengths)
            for row, one in zip(rows, alignments, strict=True):
                spelled = spelling(pieces_of(tokenizer, said[row].tokens))
                words = timed_words(
                    spelled,
                    one.alignments,
                    one.text_token_probs,
                    first_token=len(jobs[row].forced),
                    length_samples=len(jobs[row].pcm),
                )
                found[row] = (spelled, words)
        return found

    def _special_tokens(self) -> SpecialTokens:
        tokenizer = self._tokenizer(ENGLISH)
        return SpecialTokens(tokenizer.sot, tokenizer.eot, tokenizer.timestamp_begin)

    def _prompt_tokens(self, job: Job) -> list[int]:
        if not job.prompt:
            return []
        room = max(1, min(MAX_PROMPT_TOKENS, MAX_POSITIONS - len(job.forced) - RESERVED_POSITIONS))
        return [self._tokenizer("en").sot_prev, *self.tokens(" " + job.prompt.strip())[-room:]]

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
    return replace(job, pcm=np.pad(job.pcm, (job.lead_samples, 0)))


def _probabilities(found: Sequence[tuple[str, float]]) -> dict[str, float]:
    return {token.strip("<|>"): float(probability) for token, probability in found}
