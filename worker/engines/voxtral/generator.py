"""Answers the requests of all sessions together: one pass at a time, each over as many as are ready for it."""

import time
from collections import defaultdict
from collections.abc import Iterable

import torch

from worker.engines.voxtral.features import Recording, Spectrograms
from worker.engines.voxtral.kv import KvMemory
from worker.engines.voxtral.passes import Passes, PromptPart, RunningRow
from worker.engines.voxtral.requests import Request
from worker.engines.voxtral.sampling import Dice, next_tokens
from worker.engines.voxtral.schedule import Piece, Schedule


class Generator:
    """Requests join and leave at any pass."""

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

    def submit(self, request: Request) -> None:
        self._schedule.submit(request)

    def cancel(self, request: Request) -> None:
        """Nothing more comes of it; its row is free at once."""
        self._schedule.remove(request)
        self._recordings.pop(request, None)
        self._dice.pop(request, None)

    @property
    def is_idle(self) -> bool:
        return self._schedule.is_idle

    def advance(self) -> None:
        """One pass; every request that got a token is told."""
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
        for request, token in answered:
            self._take_token(request, token)

    def _prefill(self, pieces: Iterable[Piece]) -> list[tuple[Request, int]]:
        answered: list[tuple[Request, int]] = []
        for block, members in self._encoded(pieces).items():
            scores = self._passes.prefill(self._memory.block(block), [part for _, part in members])
            complete = [index for index, (piece, _) in enumerate(members) if piece.is_last]
            requests = [members[index][0].request for index in complete]
            answered += self._chosen(requests, scores[complete])
        return answered

    def _encoded(self, pieces: Iterable[Piece]) -> dict[int, list[tuple[Piece, PromptPart]]]:
        """What the language model is to hear, by block: the windows of all pieces have been through the encoder."""
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
            tokens = prompt.piece(piece.first_window, piece.windows)
            part = PromptPart(row.index, prompt.position_of(piece.first_window), tokens, audio)
            parts[row.block].append((piece, part))
        return parts

    def _decode(self, requests: Iterable[Request]) -> list[tuple[Request, int]]:
        blocks: dict[int, list[Request]] = defaultdict(list)
        for request in requests:
            assert request.row, "a request goes through the model in its row"
            blocks[request.row.block].append(request)
        answered: list[tuple[Request, int]] = []
        for block, members in blocks.items():
            running = [
                RunningRow(request.row.index, request.tokens[-1], request.next_position)
                for request in members
                if request.row
            ]
            answered += self._chosen(members, self._passes.decode(self._memory.block(block), running))
        return answered

    def _chosen(self, requests: list[Request], scores: torch.Tensor) -> list[tuple[Request, int]]:
        if not requests:
            return []
        return list(zip(requests, next_tokens(scores, [self._die(request) for request in requests]), strict=True))

    def _take_token(self, request: Request, token: int) -> None:
        if token != self._end_token:
            request.tokens.append(token)
        if token == self._end_token or len(request.tokens) == request.max_new_tokens:
            request.done = True
            self.cancel(request)
        request.on_progress(request)

    def _recording(self, request: Request) -> Recording:
        if request not in self._recordings:
            self._recordings[request] = Recording(self._front_end, request.pcm)
        return self._recordings[request]

    def _die(self, request: Request) -> Dice | None:
        if request.sampling is not None and request not in self._dice:
            self._dice[request] = Dice(request.sampling)
        return self._dice.get(request)
