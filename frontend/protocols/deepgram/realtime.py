"""Deepgram's live transcription, `WS /v1/listen`: binary audio and four control messages. No I/O.

One connection is one session, which begins with the first audio. The parameters of the address configure it. A client
ends its audio with `CloseStream` or an empty binary message; it then gets the rest of the transcript and `Metadata`.
"""

from collections import defaultdict, deque
from collections.abc import Iterable
from typing import Any, Final

from frontend.protocols.deepgram.configure import configure_failure, listen_changes
from frontend.protocols.deepgram.live import REQUEST_CLOSE, DeepgramLive, Stage
from frontend.protocols.deepgram.query import NAMES, Listen
from frontend.protocols.deepgram.results import SpeakerNumbers, alternative, model_id, model_info, timestamp
from frontend.protocols.dialect import Action, Change, Check, Commit, Hangup, Send
from frontend.protocols.long_text import Message
from frontend.transcripts.awaited_labels import AwaitedLabels
from shared.bus.event_log import LoggedEvent
from shared.errors import (
    IdleTimeoutError,
    InvalidAudioError,
    InvalidJsonError,
    UnknownTypeError,
    UnsupportedAudioError,
    VoxtralError,
)
from shared.events import EventType
from voxtral_client.events import Final as Segment
from voxtral_client.events import Partial

NO_SHA256: Final = "0" * 64
"""Audio is not kept, so it has no digest."""
SETTLE_S: Final = 0.3
"""Speech that begins just before an utterance would end is known after so much more audio."""
REASONS: Final = {
    InvalidAudioError.code: "DATA-0000",
    UnsupportedAudioError.code: "DATA-0000",
    IdleTimeoutError.code: "NET-0001",
}
"""Deepgram's reason of the close, by the code of our error."""
STOP_S: Final = 0.5
"""The end of a final may lie this much before the end of its speech, as the detection of speech knows it."""
AHEAD_S: Final = 5.0
"""A client that is so far ahead of the finals does not send its audio in real time."""


class DeepgramRealtime(DeepgramLive[Listen]):
    """Implements `dialect.Dialect`."""

    controls = ("KeepAlive", "Finalize", "Configure", "CloseStream")

    def __init__(self, request_id: str, wanted: Listen) -> None:
        super().__init__(request_id, wanted)
        self._created = timestamp()
        self._model = ""
        self._received_bytes = 0
        self._speakers = SpeakerNumbers()
        self._unnamed = AwaitedLabels()
        self._finalizing = 0
        """`Finalize` messages without an answer."""
        self._held: Segment | None = None
        """The last final since then, which may be the answer."""
        self._stops_s: defaultdict[int, deque[float]] = defaultdict(deque)
        """By channel, where speech has stopped, for the finals that follow."""
        self._last_word_end_s: dict[int, float] = {}
        """By channel, of the utterance that has not ended."""
        self._utterance_due_s: dict[int, float] = {}

    def greet(self) -> Iterable[Action]:
        return [Check(self._wanted.options)]

    def _control(self, control: dict[str, Any]) -> list[Action] | None:
        match control.get("type"):
            case "KeepAlive":
                return [Change({})] if self._stage is Stage.LIVE else []  # input, so the session does not time out
            case "Finalize":
                return self._finalize()
            case "Configure":
                return self._configure(control)
            case "CloseStream":
                return self._close()
        return None

    def render(self, event: LoggedEvent) -> Iterable[Action]:
        wire = event.wire
        actions: list[Action] = []
        match event.type:
            case EventType.READY:
                self._model = wire["model"]
            case EventType.PARTIAL:
                actions = self._interim(Partial.from_wire(wire))
            case EventType.FINAL | EventType.SPEAKERS | EventType.WARNING if self._wanted.options.diarize:
                actions = self._finals(self._unnamed.take(wire))
            case EventType.FINAL:
                actions = self._finals([Segment.from_wire(wire)])
            case EventType.SPEECH_STARTED:
                actions = self._started(wire.get("channel") or 0, wire.get("start", 0.0))
            case EventType.SPEECH_STOPPED:
                self._stops_s[wire.get("channel") or 0].append(wire["end"])
            case EventType.COMMITTED if self._finalizing:
                waiting = self._finals(self._unnamed.rest())
                self._finalizing -= 1
                actions = [*waiting, *self._finalized(wire.get("end", 0.0))]
            case EventType.DONE:
                self._stage = Stage.OVER
                rest = [*self._finals(self._unnamed.rest()), *self._release()]
                actions = [*rest, self._metadata(wire["duration"]), Hangup(1000, "")]
            case EventType.ERROR:
                actions = self._fatal(VoxtralError.from_wire(wire))
        return actions

    def refuse(self, error: VoxtralError, message: Message | None) -> Iterable[Action]:
        error.rename(NAMES)
        is_fatal = message is None or isinstance(message, bytes)
        if self._is_configuring and not is_fatal:
            self._wanted = self._before
            failure = configure_failure(error)
            return [Send({"request_id": self._request_id, **failure})]
        if is_fatal or not isinstance(error, UnknownTypeError | InvalidJsonError):
            return self._fatal(error)
        return [_error("SchemaError", error)]

    def _audio(self, audio: bytes) -> list[Action]:
        if not audio:
            return self._close()
        self._received_bytes += len(audio)
        due = [channel for channel, due_s in self._utterance_due_s.items() if due_s <= self._received_s]
        return [*self._append(audio), *(self._utterance_end(channel) for channel in due)]

    def _unheard(self) -> list[Action]:
        return [self._metadata(0.0)]

    def _finalize(self) -> list[Action]:
        if self._stage is Stage.READY:
            return []
        self._finalizing += 1
        return [Commit()]

    def _configure(self, control: dict[str, Any]) -> list[Action]:
        self._is_configuring = True
        changes = listen_changes(control)
        apply = self._apply(changes)
        told: dict[str, Any] = {"type": "ConfigureSuccess", "request_id": self._request_id}
        if "keyterms" in changes:
            told["keyterms"] = [one.term for one in changes["keyterms"] or ()]
        return [apply, Send(told)]

    @property
    def _received_s(self) -> float:
        audio_format = self._wanted.audio_format
        return 0.0 if audio_format is None else audio_format.duration_s(self._received_bytes)

    def _interim(self, partial: Partial) -> list[Action]:
        if not partial.text:
            return []
        said = alternative(partial.text, partial.committed.words or (), None, self._speakers)
        return [self._results(said, partial.start, partial.end, partial.channel, is_final=False)]

    def _finals(self, segments: Iterable[Segment]) -> list[Action]:
        actions: list[Action] = []
        for segment in segments:
            actions += self._release()
            self._held = segment
        return actions if self._finalizing else [*actions, *self._release()]

    def _release(self, *, from_finalize: bool = False) -> list[Action]:
        """The final that is held, and what follows from it."""
        segment, self._held = self._held, None
        if segment is None:
            return []
        said = alternative(segment.text, segment.words, segment.confidence, self._speakers)
        place = segment.start, segment.end, segment.channel
        has_stopped = self._take_stops(segment)
        # Unless the client says how long a pause must be, each final ends speech.
        ends_speech = (has_stopped or self._wanted.options.turn_detection is None) and not from_finalize
        result = self._results(said, *place, is_final=True, ends_speech=ends_speech, from_finalize=from_finalize)
        return [result, *self._heard(segment)]

    def _take_stops(self, segment: Segment) -> bool:
        """Remove where speech has stopped up to the end of a final; whether it has."""
        stops_s = self._stops_s[segment.channel or 0]
        known = len(stops_s)
        while stops_s and stops_s[0] <= segment.end + STOP_S:
            stops_s.popleft()
        return len(stops_s) < known

    def _finalized(self, end_s: float) -> list[Action]:
        """The answer to `Finalize`: the last final before it, or an empty result."""
        if self._held is not None:
            return self._release(from_finalize=True)
        empty = alternative("", (), None, self._speakers)
        return [self._results(empty, end_s, end_s, None, is_final=True, from_finalize=True)]

    def _heard(self, segment: Segment) -> list[Action]:
        """`UtteranceEnd` follows a final after some more silence: at once if the length of the audio is not known."""
        wait_s, channel = self._wanted.utterance_end_s, segment.channel or 0
        if wait_s is None or not segment.text:
            return []
        end_s = segment.words[-1].end_s if segment.words else segment.end
        self._last_word_end_s[channel] = end_s
        if self._wanted.audio_format is None:
            return [self._utterance_end(channel)]
        if self._received_s - end_s <= wait_s + AHEAD_S:
            self._utterance_due_s[channel] = max(end_s + wait_s, self._received_s) + SETTLE_S
        return []

    def _started(self, channel: int, start_s: float) -> list[Action]:
        """Speech that begins soon continues the utterance."""
        actions: list[Action] = []
        end_s, wait_s = self._last_word_end_s.get(channel), self._wanted.utterance_end_s
        if end_s is not None and wait_s is not None and start_s - end_s >= wait_s:
            actions.append(self._utterance_end(channel))
        self._utterance_due_s.pop(channel, None)
        self._last_word_end_s.pop(channel, None)
        if self._wanted.vad_events:
            index = [channel, self._wanted.channels]
            actions.append(Send({"type": "SpeechStarted", "channel": index, "timestamp": start_s}))
        return actions

    def _utterance_end(self, channel: int) -> Send:
        self._utterance_due_s.pop(channel, None)
        end_s = self._last_word_end_s.pop(channel)
        return Send({"type": "UtteranceEnd", "channel": [channel, self._wanted.channels], "last_word_end": end_s})

    def _results(
        self,
        said: dict[str, Any],
        start_s: float,
        end_s: float,
        channel: int | None,
        *,
        is_final: bool,
        ends_speech: bool = False,
        from_finalize: bool = False,
    ) -> Send:
        return Send(
            {
                "type": "Results",
                "channel_index": [channel or 0, self._wanted.channels],
                "duration": round(end_s - start_s, 3),
                "start": start_s,
                "is_final": is_final,
                "speech_final": ends_speech and self._wanted.endpointing,
                "channel": {"alternatives": [said]},
                "metadata": {
                    "request_id": self._request_id,
                    "model_info": model_info(self._model),
                    "model_uuid": model_id(self._model),
                },
                "from_finalize": from_finalize,
            }
        )

    def _metadata(self, duration_s: float) -> Send:
        models = [model_id(self._model)] if self._model else []
        return Send(
            {
                "type": "Metadata",
                "transaction_key": "deprecated",
                "request_id": self._request_id,
                "sha256": NO_SHA256,
                "created": self._created,
                "duration": duration_s,
                "channels": self._wanted.channels,
                "models": models,
                "model_info": {one: model_info(self._model) for one in models},
            }
        )

    def _failed(self, error: VoxtralError, close_code: int) -> list[Action]:
        other = error.code.upper() if close_code == REQUEST_CLOSE else "SERVER-0000"
        return [_error(error.code, error), Hangup(close_code, REASONS.get(error.code, other))]


def _error(variant: str, error: VoxtralError) -> Send:
    return Send({"type": "Error", "variant": variant, "description": error.message, "message": error.message})
