"""Owners that die at any moment: what clients were told of each channel stays true, and nothing is lost or repeated."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.worker.channels.test_session import S, Service, final, partial
from worker.engines.base import Finished, Output

CHANNELS = 2
ACTS = st.tuples(st.sampled_from(["partial", "final", "dies", "dies unwritten"]), st.integers(0, CHANNELS - 1))


class Engine:
    """Speech whose segments last a second each; a new owner begins at the checkpoints."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.begin()

    def begin(self) -> None:
        openings = self.service.session.openings
        self.next = [one.segment for one in openings]
        self.heard = [one.checkpoint_samples // S for one in openings]

    def act(self, what: str, channel: int) -> None:
        if what == "partial":
            self.service.take(channel, self._partial(channel))
        elif what == "final":
            self.service.take(channel, self._final(channel))
            self.next[channel] += 1
            self.heard[channel] += 1
        else:
            if what == "dies unwritten":
                session = self.service.session
                session.take(self._final(channel), 0, 0, session.handles[channel])
            self.service.claim()
            self.begin()

    def finish(self) -> None:
        for channel in range(CHANNELS):
            self.service.take(channel, Finished())

    def _partial(self, channel: int) -> Output:
        text = f"{channel}-{self.heard[channel]}"
        return partial(self.next[channel], f"{text} one two", self.heard[channel] * S, f"{text} one")

    def _final(self, channel: int) -> Output:
        start = self.heard[channel] * S
        return final(self.next[channel], f"{channel}-{self.heard[channel]} one two three", start, start + S)


@given(st.lists(ACTS, max_size=40))
def test_what_clients_were_told_stays_true(acts: list[tuple[str, int]]) -> None:
    service = Service()
    engine = Engine(service)
    for act in acts:
        engine.act(*act)
    heard = list(engine.heard)
    engine.finish()
    events = service.events
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert events[-1]["type"] == "done"
    told = [event for event in events if "segment" in event]
    channels: dict[int, int] = {}
    assert all(channels.setdefault(event["segment"], event["channel"]) == event["channel"] for event in told)
    finals = [event for event in told if event["type"] == "final"]
    assert len({event["segment"] for event in finals}) == len(finals)
    assert {event["segment"] for event in finals} == set(channels), "each partial gets its final"
    for channel in range(CHANNELS):
        own = [event["text"].split()[0] for event in finals if event["channel"] == channel]
        whole = [f"{channel}-{number}" for number in range(heard[channel] + 1)]
        assert own in (whole, whole[:-1])
    assert_nothing_taken_back(told)


def assert_nothing_taken_back(told: list[dict[str, Any]]) -> None:
    committed: dict[int, str] = {}
    for event in told:
        assert event["text"].startswith(committed.get(event["segment"], ""))
        if event["type"] == "partial":
            committed[event["segment"]] = event["committed"]["text"]
