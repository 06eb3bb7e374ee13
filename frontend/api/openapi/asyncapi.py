"""The options in `asyncapi.yaml`, generated from their table: run `python -m frontend.api.openapi.asyncapi` after a
change.

A test compares them, so the document cannot differ from what the protocols check.
"""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any, Final

import orjson
import yaml

from frontend.protocols.options import OPTIONS

DOCUMENT: Final = Path(__file__).parents[2] / "static" / "asyncapi.yaml"
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml, if PyYAML was built with it, takes a quarter of the time."""
_SECTION: Final = re.compile(r"(?<=^    # BEGIN options).*?(?=^    # END options)", re.MULTILINE | re.DOTALL)


def with_options(document: str) -> str:
    """The document with the options of the table. JSON is also YAML."""
    lines = [
        f"    option_{name}: {json.dumps(option.schema(nullable=True), ensure_ascii=False)}"
        for name, option in OPTIONS.items()
    ]
    head = " (written by: python -m frontend.api.openapi.asyncapi)\n"
    return _SECTION.sub(lambda _: head + "\n".join(lines) + "\n", document)


def document() -> dict[str, Any]:
    """The document as it is; see `as_json`."""
    parsed: dict[str, Any] = yaml.load(DOCUMENT.read_bytes(), _LOADER)  # noqa: S506 -- both loaders are safe
    return parsed


@cache
def as_json() -> bytes:
    """The document in JSON, for readers that cannot read YAML, such as the page of the API."""
    return orjson.dumps(document())


if __name__ == "__main__":
    DOCUMENT.write_text(with_options(DOCUMENT.read_text()))
