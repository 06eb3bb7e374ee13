"""Voxtral (Mini 3B and Small 24B): transcribes speech, answers questions about audio, follows spoken instructions.

Each step finds segments in new audio, submits the requests that are due, and makes one pass of the model over the
requests of all sessions. Sessions decide what to ask; the schedule decides which requests share a pass.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import VoxtralForConditionalGeneration

from shared.config.sections import ModelSettings
from shared.errors import StartupError
from shared.events import SAMPLE_RATE_HZ
from shared.session_options import Mode, SessionOptions
from worker.engines.base import EngineInfo, Output
from worker.engines.compiling import Compiler
from worker.engines.cuda_graphs import GRAPH_BYTES, STREAMS, WORKSPACE_BYTES, CudaRecorder
from worker.engines.loading import checkpoints
from worker.engines.loading.checkpoints import BYTES_PER_GB, VOCABULARY_NAME, Placement
from worker.engines.loading.out_of_memory import memory_needed
from worker.engines.speech.vad import WINDOW_SAMPLES as VAD_WINDOW_SAMPLES
from worker.engines.speech.vad import SileroVad, VadState
from worker.engines.voxtral.answering import MAX_NEW_TOKENS, AnsweringSession
from worker.engines.voxtral.compiled import compile_layers
from worker.engines.voxtral.features import Spectrograms
from worker.engines.voxtral.generator import Generator
from worker.engines.voxtral.kv import KvMemory, KvShape
from worker.engines.voxtral.option_notices import LANGUAGES
from worker.engines.voxtral.passes import Passes
from worker.engines.voxtral.prompts import WINDOW_SAMPLES, Prompts
from worker.engines.voxtral.requests import Request, Sampling
from worker.engines.voxtral.rows import FIRST_BLOCK, SHORT_ROW_TOKENS, RowPlan
from worker.engines.voxtral.schedule import Schedule
from worker.engines.voxtral.session import Model, Session
from worker.engines.voxtral.steps import recorded_steps
from worker.engines.voxtral.transcribing import TranscribingSession
from worker.engines.voxtral.vocabulary import WINDOW_S, Vocabulary
from worker.progress import STARTING
from worker.turns.judge import TurnJudge

LIMIT_S: Final = 40 * 60
"""The model understands audio up to this length (its model card)."""
QUESTION_TOKENS: Final = 512
"""Besides the longest audio there is room for a question of this length, and an answer of `MAX_NEW_TOKENS`."""
KV_SHARE: Final = 0.75
"""Share of the memory that is free after the weights; the rest is for intermediate results of passes."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits set by memory and by the model's context."""

    budget_tokens: int
    """The key-value memory of all requests together."""
    longest_tokens: int
    """A prompt and its answer."""
    limit_s: int
    """The longest audio of one question."""


def load(settings: ModelSettings, *, name: str, slots: int, threads: int) -> "VoxtralEngine":
    """The engine, loaded but not warm. Raises `StartupError`."""
    placement = checkpoints.placement(settings)  # before anything is downloaded
    directory = checkpoints.locate(settings, name)
    vocabulary = Vocabulary(directory / VOCABULARY_NAME)
    if placement.device == "cpu":
        torch.set_num_threads(threads)
    model = checkpoints.load(VoxtralForConditionalGeneration, directory, placement)
    records = settings.cuda_graphs and model.device.type == "cuda"
    record = CudaRecorder(model.device).record if records else None
    with memory_needed(device=placement.device, slots=slots):
        compilation = compile_layers(model, Compiler(settings.compile, model.device), slots, record)
        return VoxtralEngine(
            model, vocabulary, placement, name=name, slots=slots, cuda_graphs=records, compilation=compilation
        )


class VoxtralEngine:
    """See `worker.engines.base.Engine`."""

    def __init__(
        self,
        model: VoxtralForConditionalGeneration,
        vocabulary: Vocabulary,
        placement: Placement,
        *,
        name: str,
        slots: int,
        cuda_graphs: bool,
        compilation: str,
    ) -> None:
        """`compilation` says whether layers are compiled, for people.

        Raises `StartupError` if the memory left by the weights is not enough for the slots.
        """
        self.info = EngineInfo(
            engine="voxtral",
            model=name,
            device=placement.device,
            compute_type=placement.compute_type,
            modes=tuple(Mode),
            languages=LANGUAGES,
            slots=slots,
        )
        prompts = Prompts(vocabulary)
        config = model.model.language_model.config
        kv_shape = KvShape.of(config, placement.dtype)
        recorder = CudaRecorder(model.device) if cuda_graphs else None
        free_bytes = checkpoints.free_memory_bytes(placement.device)
        if recorder is not None:
            steps = recorded_steps(slots, SHORT_ROW_TOKENS) + recorded_steps(-(-slots // 2), 2 * SHORT_ROW_TOKENS)
            free_bytes -= steps * GRAPH_BYTES + STREAMS * WORKSPACE_BYTES
        context_tokens = config.max_position_embeddings
        limits = limits_of(free_bytes, kv_shape.token_bytes, slots, context_tokens, prompts.tokens_per_window)
        self._plan = plan = RowPlan(slots, limits.budget_tokens)
        front_end = Spectrograms(vocabulary.audio_config, placement.device)
        self.spectrogram = front_end.shape
        """`n_mels`, `hop_length`, `win_length`, `n_fft` of the model's front end."""
        self._compilation = compilation
        self._generator = Generator(
            Passes(model, slots, recorder),
            front_end,
            KvMemory(kv_shape, placement.device, plan.blocks),
            Schedule(plan, slots),
            vocabulary.eos,
        )
        self.turn_judge = TurnJudge()
        self._model = Model(
            self._generator, prompts, vocabulary, limits.longest_tokens, limits.limit_s, self.turn_judge
        )
        self._vad = SileroVad()
        self._sessions: dict[str, Session] = {}

    def warm_up(self) -> None:
        """Record decode steps, transcribe a little noise, and answer once about more than one window of it.

        Raises `StartupError` if memory is not enough for the slots.
        """
        with memory_needed(device=self.info.device, slots=self.info.slots):
            if self._generator.recorded:
                self._generator.record(self._usual_blocks(), STARTING.recorded)
            self._run_noise()
        how = "replayed as CUDA graphs" if self._generator.recorded else "run from Python"
        self.info = replace(self.info, passes=f"decode steps {how}; {self._compilation}")

    def _usual_blocks(self) -> list[int]:
        """The rows of live speech, and those of a question about up to 30 s of audio, if there is memory for them."""
        tokens = len(self._model.prompts.message(WINDOW_SAMPLES, None)) + QUESTION_TOKENS + MAX_NEW_TOKENS
        if self._plan.is_short(tokens) or tokens > self._plan.longest_tokens:
            return [FIRST_BLOCK]
        row = self._plan.take(tokens)
        assert row, "no request has a row yet"
        self._plan.release(row)
        return [FIRST_BLOCK, row.block]

    def _run_noise(self) -> None:
        noise = np.random.default_rng(0).integers(-3000, 3000, WINDOW_SAMPLES + SAMPLE_RATE_HZ, np.int16)
        self._vad.probabilities(VadState(), np.zeros(VAD_WINDOW_SAMPLES, np.float32))
        spoken = noise[:SAMPLE_RATE_HZ]
        transcription = self._model.prompts.transcription(len(spoken), None)
        message = self._model.prompts.message(len(noise), "?")
        self._generator.submit(Request(spoken, transcription, 4, None, _forget))
        self._generator.submit(Request(noise, message, 4, Sampling(1.0, 0.9, 0), _forget))
        while not self._generator.is_idle:
            self._generator.advance()

    def open(self, session_id: str, options: SessionOptions, *, start_samples: int = 0, segment: int = 0) -> None:
        """Raises `ServerBusyError` when all slots are taken."""
        assert session_id not in self._sessions, "a session is opened once"
        self.info.check_free(len(self._sessions))
        session: Session
        if options.mode is Mode.TRANSCRIBE:
            session = TranscribingSession(options, self._model, start_samples=start_samples, segment=segment)
        else:
            session = AnsweringSession(session_id, options, self._model, start_samples=start_samples, segment=segment)
        self._sessions[session_id] = session

    def feed(self, session_id: str, pcm: NDArray[np.float32]) -> None:
        self._sessions[session_id].feed(pcm)

    def configure(self, session_id: str, options: SessionOptions) -> None:
        self._sessions[session_id].configure(options)

    def commit(self, session_id: str) -> None:
        self._sessions[session_id].commit()

    def finish(self, session_id: str) -> None:
        self._sessions[session_id].finish()

    def close(self, session_id: str) -> None:
        session = self._sessions.pop(session_id, None)
        if session is not None:
            session.close()

    def step(self) -> list[tuple[str, Output]]:
        for session in self._sessions.values():
            session.listen(self._vad)
            session.ask()
        if not self._generator.is_idle:
            self._generator.advance()
        return [(key, output) for key, session in self._sessions.items() for output in session.take_outputs()]

    def ready(self) -> bool:
        return not self._generator.is_idle or any(session.is_due() for session in self._sessions.values())

    def absorbed_samples(self, session_id: str) -> int:
        return self._sessions[session_id].absorbed_samples

    def checkpoint_samples(self, session_id: str) -> int:
        return self._sessions[session_id].checkpoint_samples


def limits_of(free_bytes: int, token_bytes: int, slots: int, context_tokens: int, tokens_per_window: int) -> Limits:
    """What one worker can hold: a short row for every slot and, if there is room, the longest audio.

    Raises `StartupError` if not even one window of audio fits in addition to the short rows.
    """
    beside_audio = QUESTION_TOKENS + MAX_NEW_TOKENS
    wanted_tokens = min(context_tokens, LIMIT_S // WINDOW_S * tokens_per_window + 4 * beside_audio)
    row_tokens = -(-wanted_tokens // SHORT_ROW_TOKENS) * SHORT_ROW_TOKENS
    short_tokens = slots * SHORT_ROW_TOKENS
    fitting_tokens = int(free_bytes * KV_SHARE) // token_bytes
    budget_tokens = min(fitting_tokens, short_tokens + slots * row_tokens)
    longest_tokens = min(context_tokens, RowPlan.longest_beside(slots, budget_tokens))
    windows = (longest_tokens - beside_audio) // tokens_per_window
    if windows < 1:
        needed_bytes = (short_tokens + 2 * SHORT_ROW_TOKENS) * token_bytes / KV_SHARE
        raise StartupError(
            f"Setting model.slots is {slots}, which needs {needed_bytes / BYTES_PER_GB:.1f} GB in addition to the "
            f"model, but {free_bytes / BYTES_PER_GB:.1f} GB are free; lower model.slots or free some memory."
        )
    return Limits(budget_tokens, longest_tokens, min(LIMIT_S, windows * WINDOW_S))


def _forget(_request: Request) -> None:
    """The answers of a warm-up are not used."""
