"""Prints the embedded model's text of one sentence: `python -m tests.integration.heard_once`.

It runs in its own process, since libraries choose their processor instructions when they are loaded.
"""

from tests.engine_sessions import heard, text_of
from tests.integration.whisper_sessions import FILE
from tests.speech import SENTENCES, synthesise
from worker.engines.whisper.engine import load


def main() -> None:
    print(text_of(heard(load(threads=1, slots=1), synthesise(SENTENCES[0]), FILE)))


if __name__ == "__main__":
    main()
