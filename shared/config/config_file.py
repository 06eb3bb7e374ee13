"""The configuration file, as YAML, before it meets the other sources of settings."""

from pathlib import Path
from typing import Any

import yaml

from shared.errors import StartupError


class _Loader(yaml.SafeLoader):
    """Rejects a key that is written twice in one mapping, of which YAML would silently take the second. Keys are
    texts."""

    def __init__(self, stream: bytes) -> None:
        super().__init__(stream)
        self._checked: set[int] = set()

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        if id(node) not in self._checked:  # later it also has the keys that it merges
            self._checked.add(id(node))
            seen = set()
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode):
                    if key.value in seen:
                        raise yaml.YAMLError(f"{key.value} is written twice, again in line {key.start_mark.line + 1}")
                    seen.add(key.value)
        super().flatten_mapping(node)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        return {str(key): value for key, value in super().construct_mapping(node, deep).items()}


def read_config_file(path: Path) -> dict[str, Any]:
    """The sections of a file; none if it does not exist. Raises `StartupError`."""
    try:
        found = yaml.load(path.read_bytes(), _Loader) if path.is_file() else None  # noqa: S506 -- a safe one
    except (yaml.YAMLError, ValueError, OSError) as error:
        raise StartupError(f"The configuration {path} cannot be read: {' '.join(str(error).split())}.") from None
    if not isinstance(found, dict | None):
        raise StartupError(f"The configuration {path} has no sections; allowed: lines like `server:`.")
    return found or {}
