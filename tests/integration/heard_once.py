"""Prints the embedded model's text of one sentence: `python -m tests.integration.heard_once`.

It runs in its own process, since libraries choose their processor instructions when they are loaded.
"""

from tests.speech import SENTENCES, synthesise
from worker.engines.whisper.decoder import WhisperDecoder
from worker.engines.whisper.jobs import Job
from worker.engines.whisper.placement import Placement
from worker.engines.whisper.transcript import joined
from worker.engines.whisper.weights import model_directory


def main() -> None:
    decoder = WhisperDecoder(model_directory(None), Placement(compute_type="int8", threads=1), live=False)
    [heard] = decoder.run([Job(synthesise(SENTENCES[0]), language="en", closing=True)])
    print(joined(heard.words))


if __name__ == "__main__":
    main()
