"""A list of API keys under test: a file that a running service reads, and the keys themselves."""

import os
from pathlib import Path

from frontend.access.tokens import digest, new_token

RUNS = 3
"""A test may run more than once: see `pytest_collection_modifyitems`."""


class KeyList:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.keys: dict[str, str] = {}
        self._lines: dict[str, str] = {}
        self._unused: dict[str, list[str]] = {}

    def add(self, name: str, **fields: object) -> str:
        """A new key of this name; `write` puts it into the file."""
        self.keys[name] = new_token("vox_")
        fields = {"name": name, "sha256": digest(self.keys[name]), **fields}
        self._lines[name] = f"- {{{', '.join(f'{field}: {value}' for field, value in fields.items())}}}\n"
        return self.keys[name]

    def add_for_runs(self, kind: str, **fields: object) -> None:
        """A key for each run of a test that uses up what its key allows; `unused` returns one after the other."""
        self._unused[kind] = [f"{kind}-{run}" for run in range(RUNS)]
        for name in self._unused[kind]:
            self.add(name, **fields)

    def unused(self, kind: str) -> str:
        """The name of a key of this kind that no test has used."""
        assert self._unused[kind], f"All {RUNS} keys {kind} are used."
        return self._unused[kind].pop(0)

    def remove(self, *names: str) -> None:
        for name in names:
            del self._lines[name]

    def write(self, more: str = "") -> None:
        """Replace the file atomically, as an editor does."""
        new = self.path.with_suffix(".new")
        new.write_text("".join(self._lines.values()) + more)
        os.replace(new, self.path)
