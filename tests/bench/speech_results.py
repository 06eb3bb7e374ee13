"""What recorded speech has shown: results by clip and by group, and the figures with their targets. Measures nothing.

Figures are of clips that no setting was chosen on, except for the CPU time, which is of a whole run.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.bench.clips import Clip, Group
from tests.bench.figures import Figure, percentile
from tests.bench.screen import Measured
from tests.bench.transcripts import Transcript

STREAMS = (1, 4, 8)
CLEAN_POINTS = {1: 1.0, 4: 1.0, 8: 1.5}
NOISY_POINTS = 6.0
OTHER_POINTS = 2.0
FILE_POINTS = 0.3
RETRACTED = 5.0
FIRST_MS = {1: (500, 950), 4: (800, None), 8: (1200, None)}
"""p50 and p95, by number of streams."""
STABLE_MS = {1: (600, 1400), 4: (1000, None), 8: (1500, None)}
COMMIT_MS = {1: (1500, None), 4: (1900, None), 8: (2400, None)}
FINAL_MS = {1: 300, 4: 500, 8: 900}
CPU_PERCENT = {1: 65, 4: 40, 8: 22}


@dataclass(slots=True)
class Result:
    clip: Clip
    offline: Transcript
    file: Transcript
    ends_samples: list[int | None]
    """Of each token of the reference."""
    offline_errors: int
    file_errors: int
    live: dict[int, Measured] = field(default_factory=lambda: {streams: Measured() for streams in STREAMS})
    """By number of streams; all offsets together."""


@dataclass(slots=True)
class Sum:
    """Of some clips."""

    words: int
    offline_errors: int
    file_errors: int
    seconds: float
    offline_s: float
    file_s: float
    live: dict[int, Measured]

    @property
    def offline_percent(self) -> float:
        return 100 * self.offline_errors / self.words

    @property
    def file_percent(self) -> float:
        return 100 * self.file_errors / self.words

    def line(self, name: str) -> str:
        live = "".join(f"{self.live[streams].error_percent:7.1f}" for streams in STREAMS)
        churn = "".join(f"{self.live[streams].retracted_percent:6.1f}" for streams in STREAMS)
        return (
            f"{name:<44} {self.words:5} {self.offline_percent:7.1f} {self.file_percent:6.1f} {live}  {churn}"
            f"   {self.offline_s / self.seconds:.3f} {self.file_s / self.seconds:.3f}"
        )


HEADER = (
    f"{'':<44} {'words':>5} {'offline':>7} {'file':>6} {'live 1, 4, 8':>21}  {'churn 1, 4, 8':>18}   RTF offline, file"
)


def added(results: Sequence[Result]) -> Sum:
    live = {streams: Measured() for streams in STREAMS}
    for result in results:
        for streams in STREAMS:
            live[streams].add(result.live[streams])
    return Sum(
        words=sum(len(result.clip.words) for result in results),
        offline_errors=sum(result.offline_errors for result in results),
        file_errors=sum(result.file_errors for result in results),
        seconds=sum(result.clip.seconds for result in results),
        offline_s=sum(result.offline.wall_s for result in results),
        file_s=sum(result.file.wall_s for result in results),
        live=live,
    )


def lines_of_clips(results: Sequence[Result]) -> list[str]:
    """Error rates in percent of words or characters, words retracted per 100, and real-time factors."""
    return [HEADER, *(added([one]).line(f"{one.clip.id} ({_label(one.clip)})") for one in results)]


def lines_of_groups(results: Sequence[Result]) -> list[str]:
    lines = []
    for tuned_on, split in ((True, "used for tuning"), (False, "not used for tuning")):
        for group in Group:
            members = [one for one in results if one.clip.group == group and one.clip.is_tuned_on == tuned_on]
            if members:
                lines.append(added(members).line(f"{group}, {split}"))
                lines += [_delays(added(members).live[streams], streams) for streams in STREAMS]
    return lines


def figures(results: Sequence[Result], cpu_shares: dict[int, float]) -> list[Figure]:
    """`cpu_shares`: CPU seconds for a second of audio, by number of streams."""
    held = {
        group: added(members)
        for group in Group
        if (members := [one for one in results if one.clip.group == group and not one.clip.is_tuned_on])
    }
    english = [one for one in results if one.clip.group != Group.OTHER and not one.clip.is_tuned_on]
    found: list[Figure] = []
    for group, total in held.items():
        found += _accuracy(group, total)
    if english:
        total = added(english)
        found += [
            Figure("WER of recordings over offline, English", _file_points(total), "points", FILE_POINTS),
            *(figure for streams in STREAMS for figure in live_figures(total.live[streams], streams)),
        ]
    if Group.OTHER in held:
        points = _file_points(held[Group.OTHER])
        found.append(Figure("WER of recordings over offline, other languages", points, "points", FILE_POINTS))
    everything = added(results)
    return [
        *found,
        Figure("real-time factor of offline, %", 100 * everything.offline_s / everything.seconds, "%"),
        Figure("real-time factor of recordings, %", 100 * everything.file_s / everything.seconds, "%"),
        *(
            Figure(f"CPU of live speech, {_streams(streams)}, of real time", 100 * share, "%", CPU_PERCENT[streams])
            for streams, share in cpu_shares.items()
        ),
    ]


def live_figures(total: Measured, streams: int, kind: str = "recorded speech") -> list[Figure]:
    """Delays and retractions of live streams."""
    label = f"{kind}, {_streams(streams)}"
    found = []
    for name, values, targets in (
        ("a word appears", total.first_ms, FIRST_MS),
        ("a word is stable", total.stable_ms, STABLE_MS),
        ("a word is committed", total.commit_ms, COMMIT_MS),
    ):
        p50, p95 = targets[streams]
        found.append(Figure(f"{name}, {label}, p50", percentile(values, 0.5), "ms", p50))
        found.append(Figure(f"{name}, {label}, p95", percentile(values, 0.95), "ms", p95))
    return [
        *found,
        Figure(f"final after the last sound, {label}, p50", percentile(total.final_ms, 0.5), "ms", FINAL_MS[streams]),
        Figure(f"words retracted per 100, {label}", total.retracted_percent, "words", RETRACTED),
    ]


def _accuracy(group: Group, total: Sum) -> list[Figure]:
    found = [
        Figure(f"WER offline, {group}", total.offline_percent, "%"),
        Figure(f"WER of recordings, {group}", total.file_percent, "%"),
    ]
    for streams in STREAMS:
        live = total.live[streams].error_percent
        over = live - total.offline_percent
        target = {Group.CLEAN: CLEAN_POINTS[streams], Group.NOISY: NOISY_POINTS, Group.OTHER: OTHER_POINTS}[group]
        found += [
            Figure(f"WER live, {group}, {_streams(streams)}", live, "%"),
            Figure(f"WER live over offline, {group}, {_streams(streams)}", over, "points", target),
        ]
    return found


def _file_points(total: Sum) -> float:
    return total.file_percent - total.offline_percent


def _delays(total: Measured, streams: int) -> str:
    parts = [
        f"{name} {percentile(values, 0.5) / 1000:.2f}/{percentile(values, 0.95) / 1000:.2f}"
        for name, values in (
            ("first", total.first_ms),
            ("stable", total.stable_ms),
            ("commit", total.commit_ms),
            ("final", total.final_ms),
        )
    ]
    return f"    {_streams(streams)}: {', '.join(parts)} s (p50/p95)"


def _streams(count: int) -> str:
    return f"{count} stream{'s' * (count > 1)}"


def _label(clip: Clip) -> str:
    return f"{clip.language}, {clip.seconds:.0f} s{', tuned on' * clip.is_tuned_on}"
