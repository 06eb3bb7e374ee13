"""Prints what the embedded model hears in one sentence: `python -m tests.integration.heard_once`.

A process of its own, since the instructions that it computes with are chosen when its libraries are loaded.
"""

from tests.engine_sessions import heard, text_of
from tests.integration.whisper_sessions import FILE
from tests.speech import SENTENCES, synthesise
from worker.engines.whisper.engine import load


def main() -> None:
    print(text_of(heard(load(threads=1, slots=1), synthesise(SENTENCES[0]), FILE)))


if __name__ == "__main__":
    main()
