"""The items of an OpenAI transcription session: which text belongs to which item, and the events for its client.

An item is one turn. A client's commit makes an item of all earlier segments that are in no item yet. If the server
detects the turns, each of our other segments is an item or, by the client's rules, all segments until speech stops.
Our session answers commits in order with `committed`; until then, its text belongs to the audio before the commit.
"""

import secrets
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from typing import Final as Constant

from frontend.protocols.deltas import TranscriptDeltas
from frontend.protocols.openai.logprobs import logprobs_of
from frontend.protocols.openai.usage import token_usage
from frontend.transcripts.awaited_labels import AwaitedLabels
from frontend.transcripts.turns import label, turns
from shared.events import EventType, Usage
from voxtral_client.events import Final, Speakers
from voxtral_client.parts import Word

Json = dict[str, Any]

TRANSCRIPTION: Constant = "conversation.item.input_audio_transcription"


@dataclass(slots=True)
class Item:
    deltas: TranscriptDeltas = field(default_factory=TranscriptDeltas)
    id: str = field(default_factory=lambda: f"item_{secrets.token_hex(10)}")
    is_announced: bool = False
    """Whether its beginning has been reported to the client."""
    is_committed: bool = False
    audio_s: float | None = None
    """Length of the audio that the client committed; None if the server detected the turn."""
    spoken_s: float = 0.0
    """Length of its segments."""
    logprobs: list[Json] = field(default_factory=list)
    """Of the words of its segments, if the client wants them and the model reports them."""
    languages: list[str] = field(default_factory=list)
    """The languages of its segments with text, in order."""
    usage: Usage | None = None
    """Of its segments, if the model counts tokens."""


@dataclass(slots=True)
class Chain:
    """The order of items."""

    last_committed_id: str | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the configuration of the client says about its items."""

    by_rules: bool = False
    """Whether turns end by the client's rules: a segment that ends before speech stops ends none."""
    logprobs: bool = False
    speakers: bool = False


class Turns:
    """Every method returns the server events that it causes, without their ids."""

    def __init__(self, chain: Chain | None = None) -> None:
        """`chain` is shared with the turns of other channels."""
        self.is_beta = False
        self.wanted = Wanted()
        self.start_s = 0.0
        """Where our session began in the audio of the connection."""
        self.detected_s = 0.0
        """The position up to which the server has committed the audio of the connection."""
        self._items: deque[Item] = deque()
        """Incomplete items. The text of our session belongs to the first; only the last may be open."""
        self._fences: deque[Item | None] = deque()
        """For each commit that our session has not answered, its item; None discards the text until then."""
        self._answered_s = -1.0
        self._chain = chain or Chain()
        self._unnamed = AwaitedLabels()
        self._item_ids: dict[int, str] = {}
        """The items of the segments whose speakers are not known yet."""

    def commit(self, audio_s: float) -> Iterator[Json]:
        """The client ends the turn, with this much audio in its buffer."""
        item = self._open_item() or self._begin()
        item.audio_s = audio_s
        self._fences.append(item)
        yield from self._commit(item)

    def clear(self) -> None:
        """The client clears its buffer: text already sent stays, no more of it is sent, and it becomes no item."""
        item = self._open_item()
        if item is not None:
            self._items.remove(item)
        self._fences.append(None)

    @property
    def is_idle(self) -> bool:
        """Whether the audio that our session has processed belongs to no item that is incomplete."""
        return not self._items and not self._fences

    def time_out(self, start_s: float, end_s: float) -> Iterator[Json]:
        """The silence between these positions of the connection's audio becomes an item without text."""
        item = self._begin()
        item.audio_s, self.detected_s = end_s - start_s, end_s
        start_ms, end_ms = round(start_s * 1000), round(end_s * 1000)
        positions = {"audio_start_ms": start_ms, "audio_end_ms": end_ms}
        yield {"type": "input_audio_buffer.timeout_triggered", **positions, "item_id": item.id}
        yield from self._commit(item)
        yield from self._complete(item)

    def take(self, event: Json, *, detects: bool) -> Iterator[Json]:
        """Handle an event of our session; `detects` says whether the server detects the turns."""
        match event["type"]:
            case EventType.COMMITTED:
                yield from self._take_committed(event["end"])
            case EventType.SPEAKERS:
                yield from self._name(self._unnamed.label(Speakers.from_wire(event)))
            case EventType.WARNING:
                yield from self._name(self._unnamed.take(event))
            case _ if self._discards:
                pass
            case EventType.PARTIAL:
                yield from self._take_partial(event, detects)
            case EventType.FINAL:
                yield from self._take_final(event, detects)
            case EventType.SPEECH_STARTED if detects:
                yield from self._announce(self._current(), event["start"])
            case EventType.SPEECH_STOPPED if detects and self._items:
                yield from self._stop(self._items[0], event["end"])

    @property
    def _discards(self) -> bool:
        """Whether the current text of our session was cleared. Text that was committed before is not."""
        return bool(self._fences) and self._fences[0] is None and not (self._items and self._items[0].is_committed)

    def fail(self, error: Json) -> Iterator[Json]:
        """Our session has ended early. Committed items fail; the open one never becomes an item."""
        failed = [item for item in self._items if item.is_committed]
        self.reset()
        for item in failed:
            yield {"type": f"{TRANSCRIPTION}.failed", "item_id": item.id, "content_index": 0, "error": error}

    def reset(self) -> None:
        """Another session of ours begins."""
        self._items.clear()
        self._fences.clear()
        self._answered_s = -1.0
        self._unnamed = AwaitedLabels()
        self._item_ids.clear()

    def _take_committed(self, end_s: float) -> Iterator[Json]:
        """A worker of an earlier release that takes over repeats answers; commits of clients are further apart."""
        if end_s <= self._answered_s or not self._fences:
            return
        self._answered_s = end_s
        item = self._fences.popleft()
        if item is not None and item in self._items:
            yield from self._complete(item)

    def _take_partial(self, event: Json, detects: bool) -> Iterator[Json]:
        item = self._current()
        if detects:
            yield from self._announce(item, event["start"])
        yield from self._delta(item, item.deltas.hear(event))

    def _take_final(self, event: Json, detects: bool) -> Iterator[Json]:
        if not event["text"] and not self._items:
            return
        item = self._current()
        if detects:
            yield from self._announce(item, event["start"])
            if not self.wanted.by_rules:
                yield from self._stop(item, event["end"])
        item.spoken_s += event["end"] - event["start"]
        language = event.get("language")
        if event["text"] and language is not None and language not in item.languages:
            item.languages.append(language)
        if self.wanted.logprobs:
            words = [Word.from_wire(word) for word in event.get("words", ())]
            item.logprobs += logprobs_of(event["text"], words, event.get("word_confidences"), item.deltas.text)
        if "usage" in event:
            usage = Usage.from_wire(event["usage"])
            item.usage = usage if item.usage is None else item.usage + usage
        yield from self._delta(item, item.deltas.hear(event))
        if event["text"] and self.wanted.speakers:
            self._item_ids[event["segment"]] = item.id
            yield from self._name(self._unnamed.add(Final.from_wire(event)))
        if item.is_committed and item.audio_s is None:
            yield from self._complete(item)

    def _announce(self, item: Item, start_s: float) -> Iterator[Json]:
        if item.is_announced or item.is_committed:
            return
        item.is_announced = True
        start_ms = round((self.start_s + start_s) * 1000)
        yield {"type": "input_audio_buffer.speech_started", "audio_start_ms": start_ms, "item_id": item.id}

    def _stop(self, item: Item, end_s: float) -> Iterator[Json]:
        if item.is_committed:
            return
        self.detected_s = self.start_s + end_s
        end_ms = round(self.detected_s * 1000)
        yield {"type": "input_audio_buffer.speech_stopped", "audio_end_ms": end_ms, "item_id": item.id}
        yield from self._commit(item)

    def _commit(self, item: Item) -> Iterator[Json]:
        previous = {"previous_item_id": self._chain.last_committed_id}
        item.is_committed = True
        self._chain.last_committed_id = item.id
        yield {"type": "input_audio_buffer.committed", "item_id": item.id} | previous
        content = {
            "id": item.id,
            "object": "realtime.item",
            "type": "message",
            "role": "user",
            "status": "completed",
            "content": [{"type": "input_audio", "transcript": None}],
        }
        for step in ("created",) if self.is_beta else ("added", "done"):
            yield {"type": f"conversation.item.{step}", "item": content} | previous

    def _delta(self, item: Item, delta: str) -> Iterator[Json]:
        if delta:
            yield {"type": f"{TRANSCRIPTION}.delta", "item_id": item.id, "content_index": 0, "delta": delta}

    def _name(self, finals: Iterable[Final]) -> Iterator[Json]:
        """Tell who spoke these finals."""
        for final in finals:
            item_id = self._item_ids.pop(final.segment)
            for number, turn in enumerate(turn for turn in turns(final) if turn.text):
                yield {
                    "type": f"{TRANSCRIPTION}.segment",
                    "id": f"seg_{final.segment}_{number}",
                    "item_id": item_id,
                    "content_index": 0,
                    "text": turn.text,
                    "speaker": label(turn),
                    "start": round(self.start_s + turn.start_s, 3),
                    "end": round(self.start_s + turn.end_s, 3),
                }

    def _complete(self, item: Item) -> Iterator[Json]:
        self._items.remove(item)
        seconds = item.spoken_s if item.audio_s is None else item.audio_s
        yield {
            "type": f"{TRANSCRIPTION}.completed",
            "item_id": item.id,
            "content_index": 0,
            "transcript": item.deltas.text,
            "languages": [{"code": code} for code in item.languages],
            "usage": {"type": "duration", "seconds": round(seconds, 3)}
            | (token_usage(item.usage) if item.usage else {}),
        } | ({"logprobs": item.logprobs} if item.logprobs else {})

    def _current(self) -> Item:
        """The item to which the text of our session belongs now."""
        return self._items[0] if self._items else self._begin()

    def _open_item(self) -> Item | None:
        return self._items[-1] if self._items and not self._items[-1].is_committed else None

    def _begin(self) -> Item:
        item = Item()
        self._items.append(item)
        return item
