"""Runs a program of this folder with the real packages, which are in .venv-plugins."""

import json
import os
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.limits import limit_s

INSTALLED: Final = Path(".venv-plugins/installed").absolute()
"""Exists if `make plugins` has installed the packages."""


def printed_by(name: str, *arguments: object, url: str) -> list[tuple[int, str, list[str]]]:
    """The number of each file, the plug-in that played it, and what it printed. `url` is the service's."""
    command = [INSTALLED.with_name("bin") / "python", Path(__file__).with_name(f"{name}.py"), *map(str, arguments)]
    env = os.environ | {"VOXTRAL_URL": url}
    with TemporaryDirectory() as folder:  # some clients write files
        done = subprocess.run(
            command, stdout=subprocess.PIPE, text=True, check=True, timeout=limit_s(300), env=env, cwd=folder
        )
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]
