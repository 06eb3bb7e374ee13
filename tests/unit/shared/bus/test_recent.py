"""What is kept of the audio that was written: enough to repeat it, and never more."""

from dataclasses import dataclass

from shared.bus.recent import KEPT_S, KEPT_SAMPLES, Recent


@dataclass(frozen=True)
class Written:
    track: str
    end_samples: int


def test_recent_keeps_order_within_each_stream_and_forgets_by_time() -> None:
    recent: Recent[Written] = Recent()
    entries = [Written(track, position) for position in range(0, 10_000, 1600) for track in "ab"]
    recent.add(entries, now_s=10)
    assert [entry for entry in recent.entries() if entry.track == "b"] == entries[1::2]
    recent.add([Written("a", 10_000)], now_s=10 + KEPT_S / 2)
    assert len(recent.entries()) == len(entries) + 1
    recent.add([], now_s=11 + KEPT_S)
    assert recent.entries() == [Written("a", 10_000)]
    recent.add([], now_s=20 + KEPT_S)
    assert recent.entries() == []


def test_recent_is_bounded_where_audio_comes_fast() -> None:
    recent: Recent[Written] = Recent()
    for position in range(0, 100 * KEPT_SAMPLES, 1600):
        recent.add([Written("a", position)], now_s=1)
    assert len(recent.entries()) == KEPT_SAMPLES // 1600 + 1
