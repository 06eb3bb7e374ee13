"""How a process gives its memory back."""

import subprocess
import sys

BLOCK_BYTES = 8 << 20
PROGRAM = f"""
from shared.process import return_large_blocks, rss_bytes

return_large_blocks()
before_bytes = rss_bytes()
between = []
for _ in range(2):
    large = []
    for _ in range(10):
        large.append(b"x" * {BLOCK_BYTES})
        between.append(b"x" * 10_000)
    del large
print(rss_bytes() - before_bytes)
"""


def test_large_blocks_are_given_back_when_they_are_freed() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert int(done.stdout) < BLOCK_BYTES
