"""Measures the latency of an engine, without Redis and sockets: `python -m tests.bench.engine_live --streams 1 4 8`.

Streams of synthesised speech run on a virtual clock (`virtual_time`). The true end of each word is found sentence by
sentence (`alignment`). "file mode" is the first stream as a recording, which the
engine decodes in long windows.
"""

import argparse
import resource

import numpy as np

from shared.events import SAMPLE_RATE_HZ
from shared.session_options import SessionOptions
from tests.bench.alignment import last_sound_samples, token_ends
from tests.bench.scoring import normalised
from tests.bench.screen import Measured, Script, measured
from tests.bench.virtual_time import Clock, play
from tests.speech import SENTENCES, silence, synthesise
from tests.whisper_engines import load
from worker.engines.whisper.engine import WhisperEngine
from worker.engines.whisper.settings import WhisperSettings


def script(engine: WhisperEngine, offset: int, minutes: float) -> Script:
    """Sentences from `offset` on, in a ring, with pauses of 0.35 to 1.2 s."""
    generator = np.random.default_rng(offset)
    parts, words, ends, position = [silence(0.5)], [], [], SAMPLE_RATE_HZ // 2
    index = offset
    while position < minutes * 60 * SAMPLE_RATE_HZ:
        text = SENTENCES[index % len(SENTENCES)]
        pcm = synthesise(text)
        pause = silence(generator.uniform(0.35, 1.2))
        words += normalised(text)
        found = [end for end in token_ends(engine._decoder, pcm, text, "en") if end is not None]
        assert len(found) == len(normalised(text)), text
        ends += [position + end for end in found]
        parts += [pcm, pause]
        position += len(pcm) + len(pause)
        index += 1
    return Script(np.concatenate(parts), words, ends)


def final_latency_ms(engine: WhisperEngine, clock: Clock, repeats: int = 10) -> list[float]:
    """Time from `finish`, called with the last sample of a sentence, to its final."""
    latencies = []
    for index in range(repeats):
        one = synthesise(SENTENCES[index])
        one = one[: last_sound_samples(one)]  # a final could be made early in the voice's trailing silence
        [screen], _, _ = play(engine, clock, [Script(one, [], [])], [SessionOptions()])
        latencies.append((screen.finished_s - len(one) / SAMPLE_RATE_HZ) * 1000)
    return latencies


def quantiles(values: list[float]) -> str:
    return f"{np.quantile(values, 0.5):5.0f}/{np.quantile(values, 0.95):5.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--minutes", type=float, default=2.5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="fields of WhisperSettings")
    arguments = parser.parse_args()
    changed = {
        name: float(value) if "." in value else int(value) for name, value in (s.split("=") for s in arguments.set)
    }
    engine = load(threads=arguments.threads, slots=max(arguments.streams), settings=WhisperSettings(**changed))
    engine.warm_up()
    clock = Clock(engine, arguments.clock)
    scripts = [script(engine, 5 * index, arguments.minutes) for index in range(max(arguments.streams))]
    [offline], _, _ = play(engine, clock, scripts[:1], [SessionOptions(recording=True, partials=False)])
    print(f"file mode  WER {measured(scripts[0], offline).error_percent:.1f} %")
    for streams in arguments.streams:
        screens, busy_s, clock_s = play(engine, clock, scripts[:streams], [SessionOptions()] * streams)
        total = Measured()
        for one, screen in zip(scripts, screens, strict=False):
            total.add(measured(one, screen))
        print(
            f"{streams:2} streams  WER {total.error_percent:.1f} %  first p50/p95 {quantiles(total.first_ms)} ms"
            f"  stable {quantiles(total.stable_ms)} ms  committed {quantiles(total.commit_ms)} ms"
            f"  retracted {total.retracted_percent:.1f}/100  busy {100 * busy_s / clock_s:.0f} %"
        )
    print(f"final after finish {quantiles(final_latency_ms(engine, clock))} ms")
    print(f"RSS at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB")


if __name__ == "__main__":
    main()
