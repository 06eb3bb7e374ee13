"""`make fuzz`: decode damaged recordings of every kind. SEED and MUTANTS choose which, and how many."""

import argparse
import asyncio
import sys

from tests.fuzz.decoding import fuzz
from tests.fuzz.mutants import bases, mutants


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mutants", type=int, default=2000)
    asked = parser.parse_args()
    report = asyncio.run(fuzz(mutants(asked.seed, asked.mutants)))
    print(f"{asked.mutants} mutants of {len(bases())} files, seed {asked.seed}: {dict(report.answers)}")
    print(f"most memory of a decoder: {report.peak_bytes >> 20} MB; of an idle one: {report.idle_bytes >> 20} MB")
    return 0 if report.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
