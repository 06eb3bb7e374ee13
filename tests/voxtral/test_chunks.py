"""A long question beside live speech: it goes in chunks, and delays nobody by more than one of them."""

from collections import Counter

import numpy as np
import pytest

from shared.session_options import SessionOptions
from tests.engine_sessions import drained, finals
from tests.speech import silence
from tests.voxtral.driving import answers_of, asked, samples, speech, submitted, without_drafts
from tests.voxtral.reference import murmur
from worker.engines.voxtral.engine import VoxtralEngine
from worker.engines.voxtral.requests import Request
from worker.engines.voxtral.schedule import PASSES_BETWEEN_CHUNKS, Piece

WINDOWS = 5


def test_long_question_delays_no_live_text(engine: VoxtralEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = engine._generator
    schedule, next_pieces = generator._schedule, generator._schedule.next_pieces
    passes_in, chunks_in, since_token = Counter[Request](), Counter[Request](), Counter[Request]()

    def counted() -> list[Piece]:
        waiting = (*schedule._waiting, *schedule._prefilling, *schedule.decoding)
        pieces = next_pieces()
        chunks = sum(piece.request.gives_way for piece in pieces)
        for one in waiting:
            if not one.gives_way:
                passes_in[one] += 1
                chunks_in[one] += chunks
                since_token[one] = since_token[one] + chunks if pieces else 0
                assert since_token[one] <= 1
        return pieces

    with monkeypatch.context() as patched:
        requests = submitted(engine, patched)
        patched.setattr(schedule, "next_pieces", counted)
        engine.open("a", SessionOptions())
        engine.open("b", asked("And then?", limit=12))
        pcm = np.concatenate([speech(0)[:36_000], silence(1)])
        question = samples(murmur(91, 30 * WINDOWS))
        engine.feed("a", pcm[:20_000])
        engine.feed("b", question)
        engine.finish("b")
        for start in range(20_000, len(pcm), 320):
            engine.feed("a", pcm[start : start + 320])
            engine.step()
        drained(engine)
    live = [one for one in requests if not one.gives_way]
    assert len(live) > 2
    assert sum(chunks_in.values()) >= 3, "the question went on meanwhile"
    assert all(chunks_in[one] <= 1 + passes_in[one] // PASSES_BETWEEN_CHUNKS for one in live)
    again = answers_of(engine, *without_drafts(requests))
    assert [tokens[: len(said.tokens)] for tokens, said in zip(again, requests, strict=True)] == [
        one.tokens for one in requests
    ]


def test_file_gives_way_and_live_speech_does_not(engine: VoxtralEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    requests = submitted(engine, monkeypatch)
    for session_id, partials in (("a", False), ("b", True)):
        engine.open(session_id, SessionOptions(partials=partials))
        engine.feed(session_id, np.concatenate([speech(0)[:30_000], silence(1)]))
        engine.finish(session_id)
        assert len(finals(drained(engine)[session_id])) == 1
        assert {one.gives_way for one in requests} == {not partials}
        requests.clear()
