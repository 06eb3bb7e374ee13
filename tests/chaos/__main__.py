"""Rounds of chaos with real processes: `make chaos`, or `python -m tests.chaos --rounds 20 --seed 7`.

Each round speaks several sessions in real time and injects two random faults. The rounds are run with one Redis, then
with a primary, two replicas and three Sentinels, and then with a Redis Cluster of three shards. Prints the faults, the
sessions, the words lost (must be 0) and how long a session got no event while a fault lasted.
"""

import argparse
import asyncio
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.bench.figures import machine, percentile
from tests.chaos.cluster import Cluster, RedisKind
from tests.chaos.faults import faults_of
from tests.chaos.rounds import Outcome, judge_cleanliness, run_round

FAULTS_PER_ROUND = 2
REDIS: tuple[RedisKind, ...] = ("single", "sentinel", "cluster")


async def run(rounds: int, sessions: int, seed: int, kind: RedisKind) -> list[Outcome]:
    generator = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(Path(folder), kind=kind)
        try:
            cluster.start()
            await cluster.until_warm()
            outcomes = []
            for number in range(rounds):
                names = generator.sample(faults_of(cluster), FAULTS_PER_ROUND)
                outcome = await run_round(cluster, names, sessions, seed * 1000 + number)
                print(
                    f"round {number + 1}: {', '.join(names)}; {outcome.words_lost} of {outcome.words} words lost",
                    flush=True,
                )
                print("".join(f"  {complaint}\n" for complaint in outcome.complaints), end="", flush=True)
                outcomes.append(outcome)
            outcomes[-1].complaints += await judge_cleanliness(cluster)
            return outcomes
        finally:
            cluster.stop()


def report(outcomes: list[Outcome]) -> int:
    """Print the sums; returns 0 if nothing was lost and there are no complaints."""
    faults = Counter(name for outcome in outcomes for name in outcome.faults)
    silences_s = [silence_s for outcome in outcomes for silence_s in outcome.silences_s]
    complaints = sum(len(outcome.complaints) for outcome in outcomes)
    print(machine())
    print("faults injected  " + ", ".join(f"{count} × {name}" for name, count in sorted(faults.items())))
    print(f"sessions         {sum(outcome.sessions for outcome in outcomes)}")
    print(f"words            {sum(outcome.words for outcome in outcomes)}")
    print(f"words lost       {sum(outcome.words_lost for outcome in outcomes)}")
    print(f"words doubled    {sum(outcome.words_doubled for outcome in outcomes)}")
    p50_s, p99_s = percentile(silences_s, 0.5), percentile(silences_s, 0.99)
    print(f"longest silence  {p50_s:.2f} / {p99_s:.2f} s of any session during a fault (p50 / p99)")
    print(f"complaints       {complaints}")
    return 1 if complaints else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sessions", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--redis", choices=REDIS, help="only this; without it, all in turn")
    arguments = parser.parse_args()
    outcomes = []
    for name in [arguments.redis] if arguments.redis else REDIS:
        print(f"Redis: {name}", flush=True)
        outcomes += asyncio.run(run(arguments.rounds, arguments.sessions, arguments.seed, name))
    return report(outcomes)


if __name__ == "__main__":
    sys.exit(main())
