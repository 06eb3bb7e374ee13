"""How many sessions a card serves and how long a pass takes, by calculation: `python -m tests.gpu.calculate`.

A roofline: what a pass must read and compute, over what the card's memory and its matrix units reach, and the time
between its small kernels. Nothing is measured on a GPU, and the shares below are assumptions, so a pass may well take
40 % more or less. `python -m tests.gpu` measures. `--count` counts the kernels of a pass again.
"""

import argparse
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import Any, Final

from tests.gpu.cards import CARDS, VALUE_BYTES, WEIGHTS_BYTES, Card, published_config, slots
from tests.gpu.report import table
from tests.published import realtime
from worker.engines.voxtral_realtime.calibration import LIMIT_MS
from worker.engines.voxtral_realtime.sizes import encoder_ring, row_bytes, text_ring

WINDOWS: Final = (2048, 8192)
DELAY_MS: Final = 480
SHOWN_AFTER_MS: Final = 120
"""A word ends in the middle of its 80 ms, on average, and its text comes one position after its marker."""
BANDWIDTH_SHARE: Final = 0.85
"""Of the peak, in reading weights and rings."""
PRODUCT_SHARE: Final = 0.5
"""Of the peak, in matrix products of this size."""
ATTENTION_SHARE: Final = 0.25
"""Of the peak, in the memory-efficient attention kernel."""
OVERLAP_LOST: Final = 0.3
"""Reading weights and computing with them overlap but for this share of the shorter one."""
TILE: Final = 64
"""Queries that the attention kernel computes at a time, however few there are."""
ATTENTION_LATENCY_S: Final = {"encoder": 14e-6, "text": 45e-6 / 2048}
"""Of one layer when one session leaves most of the card idle; that of the language model for each position."""
ACTIVATION_BYTES: Final = 32 * 10**6
"""Written and read between the kernels, for each session."""
HOST_S: Final = 25e-6
"""The host's work for each session and pass; measured on a CPU by `tests.bench.host_cost`: 19 to 25 µs. Added, as the
worker does when it calibrates its slots, though most of it is done while the GPU runs the next pass."""
LAUNCHES: Final = 1_108
"""Kernels of one pass, as `--count` counts them."""


@dataclass(frozen=True, slots=True)
class Pass:
    """Seconds of one pass with full windows."""

    gpu_s: float
    host_s: float
    floor_s: float
    """What it must read, over the card's peak bandwidth."""

    @property
    def total_s(self) -> float:
        return self.gpu_s + self.host_s


def calculated(card: Card, sessions: int, text_window: int) -> Pass:
    """One pass over so many sessions."""
    config = published_config()
    bandwidth = card.bytes_per_s * BANDWIDTH_SHARE
    rings_bytes = sessions * row_bytes(config, text_window, VALUE_BYTES)
    reading_s, computing_s = WEIGHTS_BYTES / bandwidth, sessions * _product_flops() / (card.flops * PRODUCT_SHARE)
    products_s = max(reading_s, computing_s) + OVERLAP_LOST * min(reading_s, computing_s)
    encoder, text = encoder_ring(config), text_ring(config, text_window)
    attention_flops = sum(4 * ring.layers * ring.heads * TILE * ring.length * ring.head_dim for ring in (encoder, text))
    latency_s = encoder.layers * ATTENTION_LATENCY_S["encoder"]
    latency_s += text.layers * ATTENTION_LATENCY_S["text"] * text.length
    attention_s = max(rings_bytes / bandwidth, sessions * attention_flops / (card.flops * ATTENTION_SHARE), latency_s)
    small_s = LAUNCHES * card.kernel_s + sessions * ACTIVATION_BYTES / bandwidth
    floor_s = (WEIGHTS_BYTES + rings_bytes) / card.bytes_per_s
    return Pass(products_s + attention_s + small_s, sessions * HOST_S, floor_s)


def within(card: Card, text_window: int, most: int) -> int:
    """The most sessions, up to `most`, whose passes take no longer than `LIMIT_MS`."""
    sessions = 0
    while sessions < most and 1000 * calculated(card, sessions + 1, text_window).total_s <= LIMIT_MS:
        sessions += 1
    return sessions


@cache
def rows() -> list[dict[str, Any]]:
    """For each card and window: sessions, passes, and how long after its end a word is shown."""
    found = []
    for card in CARDS:
        for text_window in WINDOWS:
            most = slots(card.free_bytes, text_window)
            sessions = within(card, text_window, most)
            one, all_of_them = (calculated(card, count, text_window) for count in (1, sessions))
            found.append(
                {
                    "card": card.name,
                    "window": text_window,
                    "memory for": most,
                    "sessions": sessions,
                    "1 session ms": round(1000 * one.total_s, 1),
                    "floor ms": round(1000 * one.floor_s, 1),
                    "all ms": round(1000 * all_of_them.total_s),
                    "word after ms": DELAY_MS + SHOWN_AFTER_MS + round(1000 * all_of_them.total_s),
                }
            )
    return found


def markdown() -> list[str]:
    """The lines of the table in docs/models.md."""
    return [
        f"| {row['card']} | {row['window']} | {row['memory for']} | {row['sessions']} | {row['1 session ms']:g} ms "
        f"({row['floor ms']:g}) | {row['all ms']} ms | {row['word after ms']} ms | calculated |"
        for row in rows()
    ]


@cache
def _product_flops() -> int:
    """Of one session: four encoder frames, and one position of the projector and of the language model."""
    flops = 0
    for name, shape in realtime.shapes().items():
        if len(shape) > 1 and "ada_rms_norm" not in name:
            flops += 2 * prod(shape) * (4 if name.startswith("audio_tower") else 1)
    return flops


def launches() -> int:
    """Kernels of a pass at the published shape, counted on a device without values; layers are alike."""
    from tests.fake_device import counted_pass, published_config

    def count(encoder_layers: int, text_layers: int) -> int:
        config = published_config(encoder_layers, text_layers)
        return counted_pass(config, rows=2, text_window=2048).kernels.total()

    both = count(1, 1)
    return both + 31 * (count(2, 1) - both) + 25 * (count(1, 2) - both)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.gpu.calculate", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--markdown", action="store_true", help="the lines of the table in docs/models.md")
    parser.add_argument("--count", action="store_true", help="count the kernels of a pass, and stop")
    arguments = parser.parse_args()
    if arguments.count:
        print(f"{launches()} kernels in a pass; {LAUNCHES} are calculated with")
        return
    print("\n".join(markdown()) if arguments.markdown else table(rows()))
    if not arguments.markdown:
        for card in CARDS:
            peaks = f"{card.bytes_per_s / 1e9:g} GB/s, {card.flops / 1e12:g} TFLOP/s"
            print(f"{card.name}: {peaks} ({card.source})")


if __name__ == "__main__":
    main()
