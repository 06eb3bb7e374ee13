"""The documentation names only what exists: files, headings, settings, targets, modules, commands and their options."""

import importlib.util
import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest

from frontend.cli.main import cli as program
from shared.config.settings import Settings
from tests.documentation import PAGES, PROJECT, anchors, blocks, commands, links

README_LINES = 150

on_each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@on_each_page
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        if link.startswith(("http://", "https://")):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_readme_is_short_and_links_every_page() -> None:
    text = (PROJECT / "README.md").read_text()
    assert len(text.splitlines()) <= README_LINES
    linked = {link.partition("#")[0] for link in links(PROJECT / "README.md")}
    assert {str(page.relative_to(PROJECT)) for page in PAGES} - {"README.md"} <= linked


@on_each_page
def test_python_examples_are_python(page: Path) -> None:
    for block in blocks(page):
        if block.language == "python":
            compile(block.text, page.name, "exec")


@on_each_page
def test_commands_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    spoken = re.findall(r"`([^`\n]+)`", page.read_text())
    for command in [*commands(page), *spoken]:
        if match := re.search(r"\bmake ([a-z-]+)", command):
            assert match[1] in targets, command
        if match := re.search(r"python -m ((?:tests|frontend|worker|compose)[\w.]*)", command):
            assert importlib.util.find_spec(match[1]), command


@on_each_page
def test_options_of_the_command_line_exist(page: Path) -> None:
    for command in commands(page):
        words = shlex.split(re.sub(r"<\(.*\)", "FILE", command), comments=True)
        if not words or not re.fullmatch(r"(\.venv/bin/)?voxtral", words[0]):
            continue
        _check_options(program, words[1:], command)


def _check_options(command: click.Command, words: list[str], shown: str) -> None:
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    for number, word in enumerate(words):
        if isinstance(command, click.Group) and word in command.commands:
            _check_options(command.commands[word], words[number + 1 :], shown)
            return
        assert not word.startswith("-") or word in known, shown
    assert not isinstance(command, click.Group), shown


@on_each_page
def test_settings_exist(page: Path) -> None:
    settings = Settings().model_dump()
    text = page.read_text()
    sections = "|".join(settings)
    for section, key in re.findall(rf"`({sections})\.([a-z_]+)`", text):
        assert key in settings[section], f"{section}.{key}"
    for section, key in re.findall(r"VOXTRAL_([A-Z]+)__([A-Z_]+)", text):
        assert key.lower() in settings[section.lower()], f"VOXTRAL_{section}__{key}"


def test_defaults_in_the_table_of_settings_are_true() -> None:
    settings: dict[str, Any] = Settings().model_dump(mode="json")
    rows = re.findall(
        r"^\| `(\w+)\.(\w+)` \| `?([\w.]+)`? \|", (PROJECT / "docs/configuration.md").read_text(), re.MULTILINE
    )
    assert len(rows) > 5
    for section, key, default in rows:
        assert str(settings[section][key]).lower() in (default.lower(), f"{default}.0"), f"{section}.{key}"
