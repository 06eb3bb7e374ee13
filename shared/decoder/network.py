"""`python -m shared.decoder.network SOURCE`: decodes a live stream and writes its audio to standard output, as frames.

SOURCE is an address, or `-` for standard input. The last frame says how it ended. The process ends with its parent.
"""

import os
import sys
from collections.abc import Iterator
from typing import Final

from shared.audio.blocks import BLOCK_BYTES
from shared.audio.network import decode_stream
from shared.decoder.wire import Kind, error_content, frame
from shared.errors import VoxtralError
from shared.process import end_with

STDIN: Final = "-"


def main(source: str) -> None:
    end_with(os.getppid())
    output = sys.stdout.buffer
    try:
        for block in _blocks(source):
            output.write(frame(Kind.AUDIO, block))
            output.flush()
        last = frame(Kind.DONE)
    except VoxtralError as error:
        last = frame(Kind.ERROR, error_content(error))
    except BrokenPipeError:
        return
    output.write(last)
    output.flush()


def _blocks(source: str) -> Iterator[bytes]:
    for piece in decode_stream(sys.stdin.buffer if source == STDIN else source):
        for start in range(0, len(piece), BLOCK_BYTES):
            yield piece[start : start + BLOCK_BYTES]


if __name__ == "__main__":
    main(sys.argv[1])
