"""The project's documentation as tests read it: pages, links, headings, and the commands in its console blocks."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.stack import PROJECT

PAGES: Final = tuple(
    sorted(
        path
        for folder in (PROJECT, PROJECT / "docs", PROJECT / "docs" / "integrations")
        for path in folder.glob("*.md")
        if path.name != "CHANGELOG.md"
    )
)
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page."""

    page: str
    language: str
    text: str


def blocks(page: Path) -> list[Block]:
    return [Block(page.name, language, text) for language, text in _BLOCK.findall(page.read_text())]


def commands(page: Path) -> list[str]:
    """The commands after `$ ` in the console blocks of a page, in one line each, without trailing comments."""
    texts = [re.sub(r"\\\n\s*", "", block.text) for block in blocks(page) if block.language == "console"]
    lines = [line for text in texts for line in text.splitlines()]
    return [re.sub(r"\s{2,}#.*", "", line[2:]).strip() for line in lines if line.startswith("$ ")]


def links(page: Path) -> list[str]:
    return _LINK.findall(_BLOCK.sub("", page.read_text()))


def anchors(page: Path) -> set[str]:
    """The names under which GitHub and other hosts link to the headings of a page."""
    headings = _HEADING.findall(_BLOCK.sub("", page.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
