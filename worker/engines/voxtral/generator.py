"""Answers the requests of all sessions together: one pass at a time, each over as many ready requests as possible."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import torch

from worker.engines.keyterms.boosting import Boosts
from worker.engines.keyterms.trie import Trie
from worker.engines.voxtral.features import Recording, Spectrograms
from worker.engines.voxtral.kv import KvMemory
from worker.engines.voxtral.passes import Passes, PromptPart
from worker.engines.voxtral.requests import Request
from worker.engines.voxtral.sampling import Dice, Said, next_tokens
from worker.engines.voxtral.schedule import Piece, Schedule
from worker.engines.voxtral.steps import RunningRow

State = tuple[Trie | None, int]
SCORED_AT_ONCE: Final = 256
"""Tokens whose scores are in memory at the same time: 67 MB in bfloat16."""


class Generator:
    """Requests can join and leave at any pass."""

    def __init__(
        self, passes: Passes, front_end: Spectrograms, memory: KvMemory, schedule: Schedule, end_token: int
    ) -> None:
        self._passes = passes
        self._front_end = front_end
        self._memory = memory
        self._schedule = schedule
        self._end_token = end_token
        self._recordings: dict[Request, Recording] = {}
        self._dice: dict[Request, Dice] = {}

    @property
    def recorded(self) -> bool:
        """Whether decode steps are replayed as CUDA graphs."""
        return self._passes.recorded

    def record(self, blocks: Iterable[int], progress: Callable[[int, int], None]) -> None:
        """Record steps over some blocks; `progress` gets the number done and the total. Too little memory is raised."""
        self._passes.warm_up([self._memory.block(block) for block in blocks], progress)

    def submit(self, request: Request) -> None:
        self._schedule.submit(request)

    def cancel(self, request: Request) -> None:
        """Stop the request without another callback; its row is free at once."""
        self._schedule.remove(request)
        self._recordings.pop(request, None)
        self._dice.pop(request, None)

    @property
    def is_idle(self) -> bool:
        return self._schedule.is_idle

    def advance(self) -> None:
        """Make one pass, and call back every request that got a token."""
        started_s = time.perf_counter()
        pieces = self._schedule.next_pieces()
        if pieces:
            taking_part = [piece.request for piece in pieces]
            answered = self._prefill(pieces)
        else:
            taking_part = list(self._schedule.decoding)
            answered = self._decode(taking_part)
        pass_ms = (time.perf_counter() - started_s) * 1000
        for request in taking_part:
            request.model_ms += pass_ms
        for request, said in answered:
            self._take_tokens(request, said)

    def _prefill(self, pieces: Iterable[Piece]) -> list[tuple[Request, list[Said]]]:
        answered: list[tuple[Request, list[Said]]] = []
        for block, members in self._encoded(pieces).items():
            hidden = self._passes.prefill(self._memory.block(block), [part for _, part in members])
            complete = [piece.request for piece, _ in members if piece.is_last]
            dice = [self._die(request) for request in complete for _ in range(1 + len(request.draft))]
            following: list[Said] = []
            states = [state for request in complete for state in _states(request)]
            for first in range(0, len(dice), SCORED_AT_ONCE):
                part = slice(first, first + SCORED_AT_ONCE)
                boosts = self._boosts(enumerate(states[part]))
                following += next_tokens(self._passes.scores(hidden[part]), dice[part], boosts)
            for request in complete:
                count = 1 + len(request.draft)
                tokens = confirmed(request.draft, [one.token for one in following[:count]])
                answered.append((request, following[: len(tokens)]))
                following = following[count:]
        return answered

    def _encoded(self, pieces: Iterable[Piece]) -> dict[int, list[tuple[Piece, PromptPart]]]:
        """The input of the language model, by block: the windows of all pieces have been through the encoder."""
        heard: list[Piece] = []
        features: list[torch.Tensor] = []
        for piece in pieces:
            recording = self._recording(piece.request)
            recording.measure(piece.measure)
            if piece.windows:
                heard.append(piece)
                features.append(recording.take(piece.first_window, piece.windows))
                if piece.is_last:
                    del self._recordings[piece.request]
        parts: dict[int, list[tuple[Piece, PromptPart]]] = defaultdict(list)
        if not heard:
            return parts
        embeddings = self._passes.encode(torch.cat(features))
        for piece in heard:
            prompt, row = piece.request.prompt, piece.request.row
            assert row, "a request goes through the model in its row"
            count = piece.windows * prompt.tokens_per_window
            audio, embeddings = embeddings[:count], embeddings[count:]
            first = piece.first_window
            tokens, scored = prompt.piece(first, piece.windows), 0
            if piece.is_last:
                tokens, scored = [*tokens, *piece.request.draft], 1 + len(piece.request.draft)
            part = PromptPart(row.index, prompt.position_of(first), tokens, audio, prompt.audio_in_piece(first), scored)
            parts[row.block].append((piece, part))
        return parts

    def _decode(self, requests: Iterable[Request]) -> list[tuple[Request, list[Said]]]:
        blocks: dict[int, list[tuple[int, Request]]] = defaultdict(list)
        for request in requests:
            assert request.row, "a request goes through the model in its row"
            blocks[request.row.block].append((request.row.index, request))
        answered: list[tuple[Request, list[Said]]] = []
        for block, members in blocks.items():
            running = [RunningRow(row, request.tokens[-1], request.next_position) for row, request in members]
            boosts = self._boosts((row, (request.terms, request.terms_state)) for row, request in members)
            scores = self._passes.decode(self._memory.block(block), running)
            dice: list[Dice | None] = [None] * len(scores)
            for row, request in members:
                dice[row] = self._die(request)
            tokens = next_tokens(scores, dice, boosts)
            answered += [(request, [tokens[row]]) for row, request in members]
        return answered

    def _take_tokens(self, request: Request, said: list[Said]) -> None:
        tokens = [one.token for one in said]
        ended = self._end_token in tokens
        new = said[: tokens.index(self._end_token)] if ended else said
        request.take([one.token for one in new])
        request.log_probabilities += [one.log_probability for one in new]
        if ended or len(request.tokens) == request.max_new_tokens:
            request.done = True
            self.cancel(request)
        request.on_progress(request)

    def _boosts(self, rows: Iterable[tuple[int, State]]) -> Boosts | None:
        """For the rows that have key terms; None if there are none."""
        found = [(row, trie, state) for row, (trie, state) in rows if trie is not None]
        return Boosts(found, self._passes.device) if found else None

    def _recording(self, request: Request) -> Recording:
        if request not in self._recordings:
            self._recordings[request] = Recording(self._front_end, request.pcm)
        return self._recordings[request]

    def _die(self, request: Request) -> Dice | None:
        if request.sampling is not None and request not in self._dice:
            self._dice[request] = Dice(request.sampling)
        return self._dice.get(request)


def _states(request: Request) -> list[State]:
    """The states of a request's terms after its prompt, and after each beginning of its draft."""
    states = [(request.terms, request.terms_state)]
    for token in request.draft:
        trie, state = states[-1]
        states.append((trie, trie.step(state, token) if trie else state))
    return states


def confirmed(draft: Sequence[int], following: Sequence[int]) -> list[int]:
    """The beginning of an answer, as if each token had been requested separately.

    `following`: the model's tokens after the prompt and each beginning of the draft, so it is one token longer. It is
    valid as far as the draft agrees with it, and for one token more.
    """
    agreed = next((index for index, token in enumerate(draft) if token != following[index]), len(draft))
    return list(following[: agreed + 1])
