"""Runs JavaScript in Node."""

import shutil
import subprocess

import pytest

from tests.limits import limit_s

needs_node = pytest.mark.skipif(
    not shutil.which("node"), reason="Node is not installed (Debian and Ubuntu: apt install nodejs)"
)


def printed_by(script: str) -> str:
    """What a script prints. It may use WebSocket, and fails the test with a status other than 0."""
    done = subprocess.run(
        ["node", "--experimental-websocket", "-"],
        input=script,
        capture_output=True,
        text=True,
        timeout=limit_s(30),
        check=True,
    )
    return done.stdout
