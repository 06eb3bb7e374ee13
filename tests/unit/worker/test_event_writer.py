"""What a worker's session publishes and keeps of committed text, also of a session that it takes over."""

from typing import Any

import orjson
import pytest

from shared.bus.messages import NOTHING_COMMITTED
from shared.events import Word
from shared.session_options import SessionOptions
from tests.unit.worker import claimed_sessions
from worker.commitment import Commitment
from worker.engines.base import Final, Finished, Partial
from worker.session import WorkerSession

WORDS = (Word("the", 0, 800), Word("quick", 900, 1600))
KEPT = Commitment(3, "the quick", WORDS, 0, 1600)


def claimed(committed: Commitment | None = None, **options: Any) -> WorkerSession:
    return claimed_sessions.claimed(options=SessionOptions(**options), seq=7, segment=3, committed=committed)


def partial(text: str, committed: str = "", words: tuple[Word, ...] = ()) -> Partial:
    return Partial(3, text, 0, 1600, 5.0, committed, words)


def final(text: str) -> Final:
    return Final(3, text, 0, 3200, 3200, 3200, (), "en", 5.0)


def last_event(session: WorkerSession) -> dict[str, Any]:
    event: dict[str, Any] = orjson.loads(session.outbox[-1][1])
    return event


def written(session: WorkerSession) -> bytes:
    """What a write says of committed text; the write succeeds."""
    said = session.pending()
    _, arguments = said.call(1)
    session.confirm(said)
    told: bytes | str = arguments[12]
    return told.encode() if isinstance(told, str) else told


def test_partial_tells_what_is_committed_of_its_segment() -> None:
    session = claimed()
    session.take(partial("the quick bro", "the quick", WORDS), 0, 0)
    assert last_event(session)["committed"] == {
        "text": "the quick",
        "words": [{"text": "the", "start": 0.0, "end": 0.05}, {"text": "quick", "start": 0.056, "end": 0.1}],
    }


def test_partial_tells_no_words_to_whom_wants_none_and_nothing_where_nothing_is_committed() -> None:
    session = claimed(words=False)
    session.take(partial("the quick bro", "the quick", WORDS), 0, 0)
    assert last_event(session)["committed"] == {"text": "the quick"}
    session.take(final("the quick brown"), 0, 0)
    session.take(Partial(4, "fox", 3200, 4800, 5.0), 0, 0)
    assert "committed" not in last_event(session)


def test_commitment_is_written_when_it_grows_and_cleared_by_the_final() -> None:
    session = claimed()
    session.take(partial("the"), 0, 0)
    assert written(session) == b""
    session.take(partial("the quick", "the quick", WORDS), 0, 0)
    assert Commitment.decoded(written(session), 3) == KEPT
    session.take(partial("the quick bro", "the quick", WORDS), 0, 0)
    assert written(session) == b""
    session.take(final("the quick brown"), 0, 0)
    assert written(session) == NOTHING_COMMITTED.encode()
    session.take(Partial(4, "fox", 3200, 4800, 5.0), 0, 0)
    assert written(session) == b""


def test_commitment_is_written_again_until_redis_has_it() -> None:
    session = claimed()
    session.take(partial("the quick", "the quick", WORDS), 0, 0)
    assert session.pending().committed == session.pending().committed == KEPT
    session.take(final("the quick brown"), 0, 0)
    assert written(session) == b"", "it came and went between two writes"


@pytest.mark.parametrize(("text", "told"), [("the", "the quick"), ("thee quick fox", "the quick fox")])
def test_new_owner_keeps_what_the_former_one_has_committed(text: str, told: str) -> None:
    session = claimed(KEPT)
    session.take(partial(text), 0, 0)
    assert (last_event(session)["text"], last_event(session)["committed"]["text"]) == (told, "the quick")
    assert written(session) == b""
    session.take(final(text), 0, 0)
    assert last_event(session)["text"] == told
    assert written(session) == NOTHING_COMMITTED.encode()


def test_committed_text_that_no_new_owner_hears_again_has_a_final() -> None:
    session = claimed(KEPT)
    session.take(Finished(), 0, 0)
    told, done = (orjson.loads(event) for _, event in session.outbox)
    assert (told["type"], told["segment"], told["text"]) == ("final", 3, "the quick")
    assert (told["start"], told["end"]) == (0.0, 0.1)
    assert done["text"] == "the quick"
