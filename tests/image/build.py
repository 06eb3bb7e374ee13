"""Builds the image of `compose/Dockerfile` without Docker: each stage is a folder, and bubblewrap runs its steps.

The base image is made by mmdebstrap. Only the instructions that the file uses are known; others are an error.
"""

import io
import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dockerfile_parse import DockerfileParser
from pathspec import PathSpec

from tests.stack import PROJECT

DOCKERFILE = PROJECT / "compose/Dockerfile"
SUITES = {"12": "bookworm"}
NOT_EXECUTED = {"VOLUME", "EXPOSE", "COMMENT"}


@dataclass
class Stage:
    """One FROM of the file, with its instructions."""

    name: str
    parent: str
    steps: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Image:
    """A root file system and its configuration."""

    root: Path
    env: dict[str, str] = field(default_factory=lambda: {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
    workdir: str = "/"
    user: str = "0"
    command: list[str] = field(default_factory=list)
    healthcheck: list[str] = field(default_factory=list)


def read_stages() -> dict[str, Stage]:
    """The stages in the order of the file."""
    parser = DockerfileParser(fileobj=io.BytesIO(DOCKERFILE.read_bytes()), env_replace=False)
    stages: dict[str, Stage] = {}
    for step in parser.structure:
        word, value = step["instruction"], step["value"]
        if word == "FROM":
            parent, _, name = value.split()
            stages[name] = current = Stage(name, parent)
        elif word not in NOT_EXECUTED:
            current.steps.append((word, value))
    return stages


def configuration(target: str) -> Image:
    """What the instructions of a target and its parents set; nothing is built."""
    stages = read_stages()
    stage = stages[target]
    image = configuration(stage.parent) if stage.parent in stages else Image(Path("/nowhere"))
    for word, value in stage.steps:
        if word not in {"RUN", "COPY", "WORKDIR"}:
            Builder(Path("/nowhere"))._execute(image, word, value)
    return image


def sources(value: str) -> tuple[str | None, list[str], str]:
    """The stage that a COPY names, its sources, and its destination."""
    words = shlex.split(value)
    stage = words.pop(0).removeprefix("--from=") if words[0].startswith("--from=") else None
    return stage, words[:-1], words[-1]


def context_files() -> list[str]:
    """The tracked files that `.dockerignore` lets into the image."""
    ignored = PathSpec.from_lines("gitignore", (PROJECT / ".dockerignore").read_text().splitlines())
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return [name for name in listed.splitlines() if not ignored.match_file(name)]


class Builder:
    """Builds a target in `folder`; the stages that it needs are built once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stages = read_stages()
        self._built: dict[str, Image] = {}

    def build(self, name: str) -> Image:
        if name not in self._built:
            self._built[name] = self._build_stage(self._stages[name])
        return self._built[name]

    def _build_stage(self, stage: Stage) -> Image:
        root = self._folder / stage.name
        if stage.parent in self._stages:
            parent = self.build(stage.parent)
            subprocess.run(["cp", "-a", "--reflink=auto", parent.root, root], check=True)
            image = Image(root, dict(parent.env), parent.workdir, parent.user, parent.command, parent.healthcheck)
        else:
            _debootstrap(stage.parent, root)
            image = Image(root)
        for word, value in stage.steps:
            print(f"{stage.name}: {word} {value[:100]}", flush=True)
            self._execute(image, word, value)
        return image

    def _execute(self, image: Image, word: str, value: str) -> None:
        match word:
            case "RUN":
                subprocess.run([*sandbox(image, network_files=True), "/bin/sh", "-c", value], check=True)
            case "COPY":
                self._copy(image, *sources(value))
            case "ENV":
                image.env |= dict(pair.split("=", 1) for pair in shlex.split(value))
            case "WORKDIR":
                image.workdir = value
                _inside(image.root, value).mkdir(parents=True, exist_ok=True)
            case "USER":
                image.user = value
            case "CMD":
                image.command = json.loads(value)
            case "HEALTHCHECK":
                image.healthcheck = json.loads(value[value.index("CMD") + 3 :])
            case _:
                raise AssertionError(f"{DOCKERFILE} has {word}, which this program does not know.")

    def _copy(self, image: Image, stage: str | None, names: list[str], destination: str) -> None:
        target = _inside(image.root, image.workdir, destination)
        if stage is not None:
            source = _inside(self.build(stage).root, names[0])
            subprocess.run(["cp", "-aT", "--reflink=auto", source, target], check=True)
            return
        files = context_files()
        for name in names:
            wanted = [file for file in files if file == name or file.startswith(f"{name}/")]
            assert wanted, f"COPY {name}: the context has no such file."
            for file in wanted:
                # a folder's content goes into the destination, a file into a folder of that name
                placed = target / (Path(file).name if file == name else Path(file).relative_to(name))
                placed.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(PROJECT / file, placed)


def sandbox(
    image: Image, *, network_files: bool = False, writable: tuple[str, ...] = ("/",), options: Sequence[str] = ()
) -> list[str]:
    """The command that runs another one in the image, as its user. `writable` folders may be changed; "/" is all.

    `options` are more ones of bubblewrap.
    """
    bind = "--bind" if "/" in writable else "--ro-bind"
    command = ["bwrap", bind, str(image.root), "/", "--dev", "/dev", "--proc", "/proc"]
    command += [
        "--perms",
        "1777",
        "--tmpfs",
        "/tmp",
        "--die-with-parent",
        "--unshare-pid",
        "--clearenv",
        "--chdir",
        image.workdir,
    ]
    for folder in writable:
        if folder != "/":
            command += ["--bind", str(_inside(image.root, folder)), folder]
    env = dict(image.env)
    if network_files:
        command += ["--cap-add", "ALL", "--ro-bind", "/etc/resolv.conf", "/etc/resolv.conf"]
        for variable, path in (("PIP_CERT", os.environ.get("PIP_CERT")), ("PIP_CONFIG_FILE", "/etc/pip.conf")):
            if path and Path(path).exists():
                command += ["--ro-bind", path, f"/dev/{variable}"]
                env[variable] = f"/dev/{variable}"
    command += options
    for name, text in env.items():
        command += ["--setenv", name, text]
    if image.user != "0":
        command += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--cap-add", "CAP_SETPCAP"]
        user = image.user
        command += ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--no-new-privs"]
    return command


def _inside(root: Path, *parts: str) -> Path:
    """The place of a path of the image in its folder. A later absolute part replaces the earlier ones."""
    place = (root / str(Path("/", *parts)).lstrip("/")).resolve()
    assert place.is_relative_to(root.resolve()), f"{place} is outside of {root}."
    return place


def _debootstrap(base: str, root: Path) -> None:
    version = base.removeprefix("debian:").partition(".")[0]
    subprocess.run(["mmdebstrap", "--quiet", "--variant=minbase", SUITES[version], root], check=True)
