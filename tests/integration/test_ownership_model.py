"""The ownership protocol alone: workers that claim, write, hang, repeat themselves and come too late, on a real server.

The workers are the real session state (`WorkerSession`, `Pending`) and the real scripts without a model and loops:
hypothesis decides what happens when. Positions count entries of 100 ms.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from shared.bus import keys, ownership
from shared.bus.lua import sessions as scripts
from shared.bus.lua import slots
from shared.bus.ownership import Owner
from shared.bus.scripts import Call
from shared.events import seconds
from shared.session_options import SessionOptions
from tests.integration.workers import redis_alone
from tests.stack import Stack
from worker.claim import Claim
from worker.claiming import single_track
from worker.commitment import Commitment
from worker.engines.base import Final, Finished, Partial
from worker.positions import PROGRESS_SAMPLES
from worker.session import WorkerSession

pytestmark = pytest.mark.redis_server

SID, MODEL = "s1", "echo"
WORKERS = st.sampled_from(["w1", "w2", "w3"])
PICKS = st.integers(0, 99)
ENTRY_SAMPLES = PROGRESS_SAMPLES
"""So long that each is worth a progress message."""
ENTRIES = 6
CONFIGURED = {1: b"options 1", 3: b"options 3", 4: b"options 4"}
"""After which entry the client has set options, and what it has set."""


class Worker:
    """One claim of one worker: what it has heard and said."""

    def __init__(self, owner: Owner, held: dict[bytes, bytes], finals: list[bytes]) -> None:
        claim = Claim(
            owner,
            SessionOptions(),
            int(held[b"seq"]),
            int(held[b"checkpoint"]),
            int(held[b"segment"]),
            tuple(orjson.loads(final)["text"] for final in finals),
            Commitment.decoded(held.get(b"committed"), int(held[b"segment"])),
        )
        self.session = WorkerSession(claim, single_track(claim), now_s=0.0)
        self.segment_start_samples = self.session.checkpoint_samples
        self._take_options()

    @property
    def owner(self) -> Owner:
        return self.session.claim.owner

    def hear(self) -> bool:
        """The next entry of the audio stream, and what follows it. False at the end."""
        if self.session.read_samples >= ENTRIES * ENTRY_SAMPLES or self.session.ending:
            return False
        self.session.arrived(self.session.read_samples + ENTRY_SAMPLES, 0.0, 0.0)
        self.session.advance(self.session.read_samples, 0)
        self._take_options()
        return True

    def _take_options(self) -> None:
        at = self.session.read_samples
        if at // ENTRY_SAMPLES in CONFIGURED:
            self.session.configure(SessionOptions(), CONFIGURED[at // ENTRY_SAMPLES], at)

    def partial(self) -> None:
        self._take_partial(committed="")

    def commit(self) -> None:
        """Each owner commits different words, one for each entry."""
        start, heard = self.segment_start_samples, self.session.read_samples
        entries = range(start // ENTRY_SAMPLES, heard // ENTRY_SAMPLES)
        self._take_partial(committed=" ".join(f"{entry}by{self.owner.fence}" for entry in entries))

    def _take_partial(self, committed: str) -> None:
        start, heard, fence = self.segment_start_samples, self.session.read_samples, self.owner.fence
        text = f"{committed} by {fence}".lstrip()
        self.session.take(Partial(self.session.segment, text, start, heard, float(fence), committed), 0, 0)

    def final(self) -> None:
        start, end, fence = self.segment_start_samples, self.session.read_samples, self.owner.fence
        if end > start:
            text = f"{start}-{end} by {fence}"
            self.session.take(Final(self.session.segment, text, start, end, end, end, (), None, float(fence)), 0, 0)
            self.segment_start_samples = end

    def silence(self) -> None:
        """Nothing was said since the last final."""
        if self.session.tracks[0].committed.text:
            return
        self.segment_start_samples = self.session.read_samples
        self.session.advance(self.session.read_samples, self.session.read_samples)

    def finish(self) -> None:
        self.final()
        self.session.take(Finished(), 0, 0)


@dataclass(frozen=True, slots=True)
class Stored:
    """All that Redis holds of the session, read in one round trip."""

    fields: dict[bytes, bytes]
    log: list[dict[str, Any]]
    finals: list[bytes]
    audio: list[bytes]
    """Ids of its entries."""
    has_slot: bool

    @classmethod
    def read(cls, client: redis.Redis) -> "Stored":
        with client.pipeline(transaction=False) as pipeline:
            pipeline.hgetall(keys.session(SID))
            pipeline.xrange(keys.events(SID))
            pipeline.lrange(keys.finals(SID), 0, -1)
            pipeline.xrange(keys.audio(SID))
            pipeline.zscore(keys.admitted(MODEL), SID)
            fields, events, finals, audio, score = pipeline.execute()
        log = [orjson.loads(event[b"e"]) for _, event in events]
        return cls(fields, log, finals, [entry_id for entry_id, _ in audio], score is not None)


def owned(protocol: "Protocol") -> bool:
    """Whether any worker owns the session, or thinks so."""
    return bool(protocol.workers)


class Protocol(RuleBasedStateMachine):
    def __init__(self, client: redis.Redis) -> None:
        super().__init__()
        self.redis = client
        self.script = {
            name: client.register_script(getattr(module, name.upper()))
            for module, names in (
                (scripts, ("admit", "claim", "renew", "offer", "write")),
                (slots, ("reserve", "keep", "release")),
            )
            for name in names
        }
        self.workers: dict[str, Worker] = {}
        self.on_the_way: list[tuple[int, Call, Call | None]] = []
        """Fence and write of what is late, and what frees the slot before it."""
        self.seen = 0
        self.checkpoint = 0
        self._stored: Stored | None = None

    @initialize()
    def begin(self) -> None:
        self._stored = None
        self.redis.flushall()
        wanted = ownership.NewSession(
            SID,
            MODEL,
            capacity=1,
            claim_timeout_s=60,
            options=b"options 0",
            resume_digest="digest",
            viewer_digest="viewer",
        )
        self.call("reserve", ownership.reserve(wanted))
        self.call("admit", ownership.admit(wanted))
        with self.redis.pipeline(transaction=False) as pipeline:
            for entry in range(1, ENTRIES + 1):
                pipeline.xadd(keys.audio(SID), {"a": b"\0\0"}, f"{entry * ENTRY_SAMPLES}-0")
                word = {"c": "configure", "v": CONFIGURED[entry]} if entry in CONFIGURED else {"c": "commit"}
                pipeline.xadd(keys.audio(SID), word, f"{entry * ENTRY_SAMPLES}-1")
            pipeline.execute()

    # What happens

    @rule(worker=WORKERS)
    def claim(self, worker: str) -> None:
        state, fence = self.held("state"), int(self.held("fence"))
        lapsed = self.held("lease") == b"0"
        free = state == b"offered" or (state == b"live" and lapsed) or (state == b"waiting" and not lapsed)
        found = self.call("claim", ownership.claim(SID, worker, standing=slots.BEST, workers=3, lease_s=60))
        assert (found is not None) == free
        if found is not None:
            held = dict(zip(found[::2], found[1::2], strict=True))
            assert int(held[b"fence"]) == fence + 1
            self.workers[worker] = Worker(Owner(SID, MODEL, worker, fence + 1), held, self.stored.finals)

    @precondition(owned)
    @rule(
        pick=PICKS,
        says=st.lists(st.sampled_from(["partial", "commit", "final", "silence", "nothing"]), max_size=3),
        meanwhile=st.booleans(),
        fate=st.sampled_from(["answered", "unanswered", "late"]),
    )
    def work(self, pick: int, says: list[str], meanwhile: bool, fate: str) -> None:
        """A worker works on what it owns, or thinks that it owns, writes all that it has to say, and works on."""
        worker = self.picked(pick)
        held = self.workers[worker]
        for what in says:
            if held.hear() and what != "nothing":
                getattr(held, what)()
        said = held.session.pending()
        call, release = said.call(60), said.release(60) if said.ending is not None else None
        if meanwhile:
            held.hear()
        if fate == "late":
            self.on_the_way.append((held.owner.fence, call, release))
            return
        reply = self.deliver(held.owner.fence, call, release)
        if fate == "answered" and reply == scripts.FENCED:
            del self.workers[worker]
        elif fate == "answered":
            held.session.confirm(said)

    @precondition(owned)
    @rule(pick=PICKS)
    def finish(self, pick: int) -> None:
        held = self.workers[self.picked(pick)]
        if not held.hear():
            held.finish()

    @precondition(lambda self: self.on_the_way)
    @rule(pick=PICKS, again=st.booleans())
    def late_write_arrives(self, pick: int, again: bool) -> None:
        place = pick % len(self.on_the_way)
        self.deliver(*(self.on_the_way[place] if again else self.on_the_way.pop(place)))

    @precondition(owned)
    @rule(pick=PICKS)
    def renew(self, pick: int) -> None:
        worker = self.picked(pick)
        if self.tell(worker, "renew", lambda owner: ownership.renew(owner, lease_s=60)) == 1:
            self.call("keep", ownership.keep(MODEL, [ownership.Kept(SID, None, 1)]))

    @precondition(owned)
    @rule(pick=PICKS)
    def offer(self, pick: int) -> None:
        self.tell(self.picked(pick), "offer", ownership.offer)

    @rule()
    def lapse(self) -> None:
        """The owner has been away for too long, or no worker has claimed it in time."""
        if self.held("state") in (b"waiting", b"live", b"offered"):
            self.redis.hset(keys.session(SID), "lease", 0)
            self._stored = None

    # What must hold

    @invariant()
    def log_counts_without_gap_and_is_written_by_owners_only(self) -> None:
        log = self.stored.log
        assert [event["seq"] for event in log] == list(range(1, len(log) + 1))
        assert len(log) == int(self.held("seq"))
        fence = float(self.held("fence"))
        for event in log[self.seen :]:
            assert event["type"] in ("ready", "done") or event["latency"]["model"] == fence
        self.seen = len(log)
        assert [event["type"] for event in log[:-1]].count("done") == 0

    @invariant()
    def finals_are_those_of_the_log_and_do_not_overlap(self) -> None:
        finals = [event for event in self.stored.log if event["type"] == "final"]
        assert [orjson.loads(final) for final in self.stored.finals] == finals
        assert [final["segment"] for final in finals] == list(range(len(finals)))
        assert int(self.held("segment")) == len(finals)
        reached_s = 0.0
        for final in finals:
            assert final["start"] >= reached_s
            assert final["end"] > final["start"]
            reached_s = final["end"]
        assert seconds(int(self.held("checkpoint"))) >= reached_s, "what is final is never heard again"

    @invariant()
    def what_is_committed_is_never_taken_back(self) -> None:
        """By no owner: every partial of the segment and its final begin with it, and a new owner gets it."""
        committed = ""
        for event in self.stored.log:
            if event["type"] in ("partial", "final"):
                assert event["text"].startswith(committed)
            if event["type"] == "final":
                committed = ""
            elif "committed" in event:
                assert event["committed"]["text"].startswith(committed)
                committed = event["committed"]["text"]
        segment = int(self.held("segment"))
        assert Commitment.decoded(self.held("committed"), segment).text == committed

    @invariant()
    def new_owner_finds_all_that_it_needs(self) -> None:
        checkpoint = int(self.held("checkpoint"))
        assert checkpoint >= self.checkpoint
        self.checkpoint = checkpoint
        entry = checkpoint // ENTRY_SAMPLES
        if entry not in CONFIGURED:  # else it is about to read them
            set_before = [options for at, options in CONFIGURED.items() if at < entry]
            assert self.held("options") == (set_before or [b"options 0"])[-1]
        if self.held("state") != b"done":
            wanted = [
                b"%d-%d" % (at * ENTRY_SAMPLES, part) for at in range(max(entry, 1), ENTRIES + 1) for part in (0, 1)
            ]
            assert self.stored.audio[-len(wanted) :] == wanted

    @invariant()
    def slot_is_held_until_the_end_and_then_no_more(self) -> None:
        assert self.stored.has_slot == (self.held("state") != b"done")

    # How

    @property
    def stored(self) -> Stored:
        """What Redis holds since the last write."""
        if self._stored is None:
            self._stored = Stored.read(self.redis)
        return self._stored

    def held(self, field: str) -> bytes:
        return self.stored.fields.get(field.encode(), b"")

    def call(self, name: str, call: Call) -> Any:
        self._stored = None
        return self.script[name](keys=call[0], args=call[1])

    def deliver(self, fence: int, call: Call, release: Call | None) -> int:
        is_owner = self.held("fence") == b"%d" % fence
        if release is not None and is_owner:  # it has just been renewed
            self.call("release", release)
        reply = self.call("write", call)
        assert (reply == scripts.FENCED) == (not is_owner), "only the last owner writes, and a former one learns it"
        return int(reply)

    def picked(self, pick: int) -> str:
        return sorted(self.workers)[pick % len(self.workers)]

    def tell(self, worker: str, name: str, call: Any) -> int:
        held = self.workers[worker]
        is_owner = self.held("fence") == b"%d" % held.owner.fence
        ended = self.held("state") == b"done"
        answer: int = self.call(name, call(held.owner))
        assert answer == ((0 if ended else 1) if is_owner else scripts.FENCED)
        if not is_owner:
            del self.workers[worker]
        return answer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with redis_alone(tmp_path_factory.mktemp("protocol")) as stack:
        yield stack


def test_ownership_protocol(server: Stack) -> None:
    with redis.Redis.from_url(server.redis_url) as client:
        run_state_machine_as_test(
            lambda: Protocol(client),
            settings=settings(
                max_examples=100,
                stateful_step_count=50,
                deadline=None,
                suppress_health_check=[HealthCheck.too_slow],
            ),
        )
