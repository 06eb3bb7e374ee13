"""The thread that tells speakers apart, for all sessions of a worker that ask for it. It starts with the first one.

Commands are executed in order, so a final is labelled when all audio before it has been embedded. The windows of all
sessions that wait are embedded in batches. A session whose command fails has no labels from then on; others continue.
"""

import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from shared.errors import StartupError, VoxtralError
from shared.final_speakers import DIARIZE_UNAVAILABLE
from worker.speakers.reports import (
    Command,
    Embed,
    Embedding,
    Follow,
    Forget,
    Hear,
    Label,
    Limit,
    Ready,
    Report,
    Stopped,
    Tracked,
    Warned,
)

if TYPE_CHECKING:
    from worker.speakers.model import SpeakerModel
    from worker.speakers.tracker import Tracker
    from worker.speakers.windows import Window

log = structlog.get_logger()


class SpeakerService:
    """Belongs to the I/O loop. `on_report` is called on the service's thread, with a handle or a request id."""

    def __init__(
        self, model_path: Path | None, similarity: float | None, on_report: Callable[[str, Report], None]
    ) -> None:
        self._model_path = model_path
        self._similarity = similarity
        self._on_report = on_report
        self._inbox: deque[Command] = deque()
        self._wake = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._model: SpeakerModel | None = None
        self._trackers: dict[str, Tracker] = {}
        self._waiting: list[tuple[str, Window]] = []
        """Windows to embed, each with its handle."""

    def post(self, command: Command) -> None:
        self._inbox.append(command)
        self._wake.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="speakers", daemon=True)
            self._thread.start()

    def stop(self, timeout_s: float) -> None:
        self._stopping = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stopping:
            self._wake.wait()
            self._wake.clear()
            self._turn()

    def _turn(self) -> None:
        fed: set[str] = set()
        while self._inbox:
            command = self._inbox.popleft()
            try:
                self._execute(command)
            except Exception as error:  # finals without labels are better than no worker
                log.exception("diarization_failed")
                if isinstance(command, Embed):
                    self._on_report(command.request_id, Embedding(None))
                else:
                    self._give_up(command.handle, error)
            if isinstance(command, Hear):
                fed.add(command.handle)
        self._embed()
        for handle in fed & self._trackers.keys():
            self._on_report(handle, Tracked(self._trackers[handle].windows.at_samples))

    def _execute(self, command: Command) -> None:
        match command:
            case Hear():
                if (tracker := self._trackers.get(command.handle)) is not None:
                    self._waiting += ((command.handle, window) for window in tracker.feed(command.pcm))
            case Label():
                self._label(command)
            case Follow():
                self._track(command)
            case Limit():
                if (tracker := self._trackers.get(command.handle)) is not None:
                    tracker.speakers.limit = command.limit
            case Forget():
                self._forget(command.handle)
            case Embed():
                model = self._loaded()
                text = None if model is None else model.embedding(command.pcm)
                self._on_report(command.request_id, Embedding(text))

    def _label(self, command: Label) -> None:
        tracker = self._trackers.get(command.handle)
        if tracker is not None:
            self._waiting += ((command.handle, window) for window in tracker.ends_before(command.end_samples))
            self._embed()
        if tracker is None or command.handle not in self._trackers:
            self._on_report(command.handle, Stopped())
            return
        self._on_report(command.handle, tracker.label(command.segment, command.start_samples, command.end_samples))

    def _embed(self) -> None:
        if not self._waiting:
            return
        assert self._model is not None, "there are trackers only with a model"
        waiting, self._waiting = self._waiting, []
        embed = self._model.encoder.embed
        try:
            vectors = list(embed([window.pcm for _, window in waiting]))
        except Exception:  # because of some sessions: each is embedded alone  # noqa: BLE001
            vectors = []
        for handle in dict.fromkeys(handle for handle, _ in waiting):
            places = [place for place, (owner, _) in enumerate(waiting) if owner == handle]
            windows = [waiting[place][1] for place in places]
            try:
                own = [vectors[place] for place in places] if vectors else embed([one.pcm for one in windows])
                for window, vector in zip(windows, own, strict=True):
                    self._trackers[handle].learn(window, vector)
            except Exception as error:  # as above
                log.exception("diarization_failed")
                self._give_up(handle, error)

    def _track(self, command: Follow) -> None:
        model = self._loaded()
        if model is None:
            self._refuse(command.handle, "The model that tells speakers apart is not available on this worker.")
            return
        tracker = model.tracker(command.limit, command.start_samples, command.prefix)
        if command.state is None or not tracker.restore(command.state):
            for speaker in command.known:
                if fault := model.name(tracker, speaker, command.recordings.get(speaker.name)):
                    self._on_report(command.handle, Warned("known_speaker_ignored", fault))
        self._trackers[command.handle] = tracker
        self._on_report(command.handle, Ready(tracker.state))

    def _loaded(self) -> "SpeakerModel | None":
        if self._model is None:
            from worker.speakers.model import SpeakerModel  # noqa: PLC0415 -- ONNX Runtime, which most workers do not need

            try:
                self._model = SpeakerModel(self._model_path, self._similarity)
            except (VoxtralError, StartupError, OSError) as error:
                log.warning("speaker_model_unavailable", reason=str(error))
                return None
            log.info("speaker_model_loaded", model=self._model.encoder.name)
        return self._model

    def _forget(self, handle: str) -> None:
        self._trackers.pop(handle, None)
        self._waiting = [one for one in self._waiting if one[0] != handle]

    def _give_up(self, handle: str, error: Exception) -> None:
        self._forget(handle)
        self._refuse(handle, f"The speakers cannot be distinguished: {type(error).__name__}.")

    def _refuse(self, handle: str, message: str) -> None:
        self._on_report(handle, Warned(DIARIZE_UNAVAILABLE, f"{message} Finals have no speaker."))
        self._on_report(handle, Stopped())
