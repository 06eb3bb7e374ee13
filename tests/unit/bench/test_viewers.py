"""Viewers count every event that they read, however its bytes are spread over reads."""

import pytest

from tests.bench.viewers import BareViewer

EVENTS = b"".join(b'data: {"type":"partial","session_id":"s1","seq":%d,"text":"a"}\n\n' % seq for seq in (98, 99, 100))


@pytest.mark.parametrize("size", [1, 7, 50, len(EVENTS)])
def test_event_counts_once_when_it_is_complete(size: int) -> None:
    arrivals: dict[int, list[float]] = {seq: [] for seq in (98, 99, 100)}
    viewer = BareViewer(b"", arrivals)
    for start in range(0, len(EVENTS), size):
        viewer.data_received(EVENTS[start : start + size])
    assert [len(times) for times in arrivals.values()] == [1, 1, 1]
