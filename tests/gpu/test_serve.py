"""The load of a service on a GPU runs on a CPU too, with the tiny checkpoint as the published weights."""

import json
from pathlib import Path

import pytest
import soundfile

from tests.gpu.serve import main
from tests.gpu.speakers import Outcome, Seen, _end, _note, repeated
from tests.tiny.checkpoint import DIRECTORY
from tests.tiny.scenes import scene


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    """Two recordings, the second of which is not what its text says."""
    folder = tmp_path / "speech"
    folder.mkdir()
    clips = []
    for number, words in enumerate((["seven", "left", "no"], ["up", "down"])):
        spoken = scene(number, words)
        soundfile.write(folder / f"{number}.flac", spoken.audio, 16_000)
        (folder / f"{number}.txt").write_text(spoken.text if number == 0 else "up and down")
        clips.append({"id": str(number), "language": "en", "file": f"{number}.flac", "text_file": f"{number}.txt"})
    (folder / "manifest.json").write_text(json.dumps({"clips": clips}))
    return folder


def test_sessions_and_recordings_are_measured(speech: Path, tmp_path: Path) -> None:
    path = tmp_path / "serve.json"
    load = ["--sessions", "3", "--slots", "2", "--tiny-sessions", "0", "--seconds", "2", "--ramp", "0.2"]
    weights = ["--model-path", str(DIRECTORY), "--speech", str(speech)]
    assert main(["--device", "cpu", *load, *weights, "--result", str(path)]) == 0
    written = json.loads(path.read_text())
    [service] = written["services"]
    assert (service["sessions"], service["failed"], service["slots"]) == (3, 0, 2)
    assert service["done"] == 3 - service["refused"] >= 2
    assert service["WER %"] == 0
    assert 0 < service["event p50 ms"] <= service["event p99 ms"]
    assert 0 < service["pass p50 ms"] <= service["pass p99 ms"]
    assert service["word p50 ms"] > 240, "a word is shown after the model's delay"
    assert [(row["clip"], row["words"], row["errors"]) for row in written["recordings"]] == [("0", 3, 0), ("1", 3, 1)]
    assert written["recordings by group"] == [
        {"group": "clean English", "clips": 2, "words": 6, "errors": 1, "WER %": 16.67}
    ]


def test_recordings_need_weights_that_hear(speech: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--device", "cpu", "--speech", str(speech)])
    assert "--speech needs --model-path" in capsys.readouterr().err


def test_words_of_a_repeated_scene_are_where_they_sound() -> None:
    one = scene(3, 2)
    twice = repeated(one, 1.5 * len(one.audio) / 16_000)
    assert len(twice.audio) == 2 * len(one.audio)
    assert twice.text == f"{one.text} {one.text}"
    assert twice.words[2].end_samples - twice.words[0].end_samples == len(one.audio)


def test_client_notes_when_words_are_shown_and_how_late_events_are() -> None:
    seen, finished = Seen(), {}
    partial = {"type": "partial", "segment": 0, "text": "one", "end": 0.5, "latency": {"total": 12.0}}
    _note(seen, 0.6, partial, finished)
    _note(seen, 0.9, partial | {"text": "one two", "end": 0.8}, finished)
    _note(seen, 1.0, {"type": "final", "segment": 0, "text": "one two", "end": 0.7}, finished)
    _note(seen, 2.0, partial | {"segment": 1, "text": "three", "end": 1.9}, finished)
    assert seen.shown_s == [0.6, 0.9, 2.0]
    assert [round(late) for late in seen.event_ms] == [40, 100, 80]  # audio is sent every 80 ms
    assert seen.server_ms == [12.0, 12.0, 12.0]


@pytest.mark.parametrize(
    ("event", "events", "outcome"),
    [
        ({"type": "done", "text": "one"}, 3, Outcome.DONE),
        ({"type": "error", "code": "server_busy", "message": "All 2 slots are taken."}, 0, Outcome.REFUSED),
        ({"type": "error", "code": "internal_error", "message": "incident 7"}, 3, Outcome.FAILED),
    ],
)
def test_end_of_a_session_is_distinguished(event: dict[str, str], events: int, outcome: Outcome) -> None:
    seen = Seen(events=events)
    _end(seen, event)
    assert seen.outcome is outcome
