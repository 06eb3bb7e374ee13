"""Recorded speech with reference texts, from a folder with a `manifest.json`, and the clips used to choose settings.

The manifest holds `clips`, each with `id`, `language` (ISO 639-1), `file`, `text_file` (both in the folder) and, if
there are any, `tags`.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from shared.events import SAMPLE_RATE_HZ
from tests.bench.scoring import normalised

TUNED_ON_S = {
    "jfk": 11.00, "lj_fast": 11.87, "cards": 13.85, "libri_three": 11.20, "gaskell": 32.46, "demo_talk": 51.93,
    "austen_telephone": 28.03,
}  # fmt: skip
"""Clips that rules of live sessions were chosen on, with their lengths: a clip of another length is another one."""
NOISY_TAGS = ("telephone", "noise")
"""Prefixes of the tags of noisy clips."""


class SpeechFolderError(Exception):
    """The fault of the folder, in one sentence."""


class Group(StrEnum):
    CLEAN = "clean English"
    NOISY = "telephone and noisy"
    OTHER = "other languages"


@dataclass(frozen=True)
class Clip:
    id: str
    language: str
    tags: tuple[str, ...]
    text: str
    pcm: NDArray[np.float32]

    @property
    def seconds(self) -> float:
        return len(self.pcm) / SAMPLE_RATE_HZ

    @property
    def group(self) -> Group:
        if self.language != "en":
            return Group.OTHER
        noisy = any(tag.lower().startswith(NOISY_TAGS) for tag in self.tags)
        return Group.NOISY if noisy else Group.CLEAN

    @property
    def is_tuned_on(self) -> bool:
        return abs(TUNED_ON_S.get(self.id, 0.0) - self.seconds) < 0.05

    @cached_property
    def words(self) -> list[str]:
        """The reference as tokens; characters in some languages."""
        return normalised(self.text, self.language)


def load_clips(folder: str | None) -> list[Clip]:
    """All clips of the folder. Raises `SpeechFolderError`."""
    if not folder:
        raise SpeechFolderError("SPEECH is not set; set it to a folder with recorded speech and a manifest.json")
    manifest = Path(folder) / "manifest.json"
    if not manifest.is_file():
        raise SpeechFolderError(f"{folder} has no manifest.json")
    try:
        listed: Sequence[dict[str, Any]] = json.loads(manifest.read_text())["clips"]
        clips = [_clip(Path(folder), one) for one in listed]
    except (OSError, ValueError, KeyError, TypeError, soundfile.SoundFileError) as error:
        raise SpeechFolderError(f"{manifest} or a file that it names cannot be read: {error!r}") from error
    if not clips:
        raise SpeechFolderError(f"{manifest} names no clips")
    for clip in clips:
        if not clip.words or not len(clip.pcm):
            raise SpeechFolderError(f"{manifest} names {clip.id!r}, which has no {'audio' if clip.words else 'words'}")
    return clips


def clips_or_exit(folder: str | None) -> list[Clip]:
    """All clips of the folder, for a command: a fault of the folder ends it."""
    try:
        return load_clips(folder)
    except SpeechFolderError as error:
        sys.exit(f"{error}.")


def shortest_untuned(clips: Iterable[Clip], seconds: float) -> list[Clip]:
    """English clips that no setting was chosen on, the shortest first, as many as fit into so many seconds."""
    chosen: list[Clip] = []
    for clip in sorted(clips, key=lambda one: one.seconds):
        spoken_s = sum(one.seconds for one in chosen) + clip.seconds
        if clip.group != Group.OTHER and not clip.is_tuned_on and spoken_s <= seconds:
            chosen.append(clip)
    return chosen


def _clip(folder: Path, listed: dict[str, Any]) -> Clip:
    pcm, rate_hz = soundfile.read(folder / listed["file"], dtype="float32", always_2d=True)
    mono = pcm.mean(axis=1)
    if rate_hz != SAMPLE_RATE_HZ and len(mono):
        mono = soxr.resample(mono, rate_hz, SAMPLE_RATE_HZ)
    text = (folder / listed["text_file"]).read_text()
    return Clip(listed["id"], listed["language"], tuple(listed.get("tags", ())), text, np.asarray(mono, np.float32))
