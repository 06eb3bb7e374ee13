"""The folder of recorded speech: what is read from it, and what is said when it cannot be."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.bench.clips import TUNED_ON_S, Group, SpeechFolderError, load_clips, shortest_untuned


def folder_with(folder: Path, *clips: dict[str, object], rate_hz: int = 16_000) -> str:
    listed = []
    for clip in clips:
        seconds = float(str(clip.pop("seconds", 1.0)))
        stereo = np.zeros((round(seconds * rate_hz), 2), np.float32)
        soundfile.write(folder / f"{clip['id']}.flac", stereo, rate_hz)
        (folder / f"{clip['id']}.txt").write_text("Hello there.")
        listed.append({"language": "en", "file": f"{clip['id']}.flac", "text_file": f"{clip['id']}.txt", **clip})
    (folder / "manifest.json").write_text(json.dumps({"clips": listed}))
    return str(folder)


def test_clips_belong_to_groups(tmp_path: Path) -> None:
    clips = load_clips(
        folder_with(
            tmp_path,
            {"id": "a"},
            {"id": "b", "tags": ["read", "noise 12 dB"]},
            {"id": "c", "tags": ["telephone-like"]},
            {"id": "d", "language": "fr", "tags": ["noise"]},
        )
    )
    assert [clip.group for clip in clips] == [Group.CLEAN, Group.NOISY, Group.NOISY, Group.OTHER]
    assert clips[0].words == ["hello", "there"]


def test_audio_is_brought_to_one_channel_and_16_khz(tmp_path: Path) -> None:
    [clip] = load_clips(folder_with(tmp_path, {"id": "a", "seconds": 2.0}, rate_hz=8000))
    assert clip.pcm.shape == (32_000,)


def test_only_the_very_clips_that_settings_were_chosen_on_count_as_such(tmp_path: Path) -> None:
    clips = load_clips(folder_with(tmp_path, {"id": "jfk", "seconds": TUNED_ON_S["jfk"]}, {"id": "cards"}, {"id": "x"}))
    assert [clip.is_tuned_on for clip in clips] == [True, False, False]


def test_missing_folder_is_explained(tmp_path: Path) -> None:
    with pytest.raises(SpeechFolderError, match="SPEECH is not set"):
        load_clips(None)
    with pytest.raises(SpeechFolderError, match=r"has no manifest\.json"):
        load_clips(str(tmp_path))


def test_damaged_folder_is_explained(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, {"id": "a"})
    (tmp_path / "a.flac").unlink()
    with pytest.raises(SpeechFolderError, match="cannot be read"):
        load_clips(folder)
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(SpeechFolderError, match="cannot be read"):
        load_clips(folder)


def test_folder_without_clips_or_audio_is_explained(tmp_path: Path) -> None:
    with pytest.raises(SpeechFolderError, match="names no clips"):
        load_clips(folder_with(tmp_path))
    folder = folder_with(tmp_path, {"id": "a"}, {"id": "b"})
    for rate_hz in (8_000, 16_000):
        soundfile.write(tmp_path / "b.flac", np.zeros(0, np.float32), rate_hz, format="WAV")
        with pytest.raises(SpeechFolderError, match="names 'b', which has no audio"):
            load_clips(folder)


def test_shortest_clips_that_no_setting_was_chosen_on_fit_into_the_time(tmp_path: Path) -> None:
    tuned = {"id": "jfk", "seconds": TUNED_ON_S["jfk"]}
    others = [{"id": name, "seconds": seconds} for name, seconds in (("a", 9.0), ("b", 5.0), ("c", 3.0))]
    clips = load_clips(folder_with(tmp_path, tuned, *others, {"id": "d", "language": "fr"}))
    assert [clip.id for clip in shortest_untuned(clips, 10)] == ["c", "b"]
