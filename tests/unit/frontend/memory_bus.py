"""Stands for Redis and one worker, in memory: a gateway works on it without a process or a socket."""

import asyncio
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import orjson

from frontend.access.access import Access
from frontend.decoding.decoders import Decoders
from frontend.sessions.admission import Admission
from frontend.sessions.gateway import Gateway
from frontend.sessions.placement import Placement
from frontend.sessions.recovery import Recovery
from frontend.sessions.session import Session
from frontend.sessions.tracing import SessionTraces
from frontend.sessions.voices import Voices
from shared.bus import keys
from shared.bus.attachment import Attachment
from shared.bus.audio import AudioTrack
from shared.bus.event_log import Follower
from shared.bus.messages import EntryField
from shared.bus.ownership import NewSession
from shared.bus.registry import StartReport, WorkerReport
from shared.celery_config import Queue
from shared.config.settings import Settings
from shared.protocol import OWN
from shared.session_options import SessionOptions
from tests.unit.redis_in_memory import answered, log_range
from tests.unit.reports import report

MODEL = "echo"


@dataclass
class Held:
    """What the bus holds of one session."""

    options: bytes = b""
    resume_digest: str = ""
    state: bytes = b"waiting"
    connection: int = 0
    samples: int = 0
    controls: list[str] = field(default_factory=list)
    log: list[bytes] = field(default_factory=list)
    followers: list[Follower] = field(default_factory=list)


async def delivered(reply: Any, turns: int = 1) -> Any:
    """The reply arrives after other tasks have run, as over a socket. `turns` of the loop."""
    for _ in range(turns):
        await asyncio.sleep(0)
    return reply


class MemoryBus:
    """Every part of a gateway that needs Redis. The other parts are the real ones."""

    def __init__(self, *, slots: int = 4) -> None:
        self.redis = answered(self._answer)
        self.slots = slots
        self.languages: list[str] = []
        """Those of the model; empty: all."""
        self.claims = True
        """Whether a worker takes the sessions that are dispatched."""
        self.held: defaultdict[str, Held] = defaultdict(Held)
        self.erased: list[str] = []
        self.marks: dict[str, bytes] = {}
        """Identities that are being opened, by key."""
        self.attach_turns: list[int] = []
        """After how many turns of the loop the next connections learn that they have a session; then at once."""

    def gateway(self, settings: Settings, traces: SessionTraces | None = None) -> Gateway:
        placement = Placement(self)
        sessions: dict[str, Session] = {}
        return Gateway(
            settings.session,
            self.redis,
            sessions,
            access=Access(settings, self.redis),
            placement=placement,
            admission=Admission(self, placement, settings.session.claim_timeout_s),
            writer=self,
            subscriber=self,
            dispatcher=self,
            recovery=Recovery(
                self.redis, sessions, self.dispatch, settings.session.claim_timeout_s, starting=self.starting
            ),
            erasure=self,
            traces=traces,
            voices=Voices(self.redis, Decoders(1, 1.0), placement),
        )

    def say(self, session_id: str, kind: str, **fields: Any) -> None:
        """Log an event of the worker, and push it to all followers of the session."""
        held = self.held[session_id]
        wire = {"type": kind, "session_id": session_id, "seq": len(held.log) + 1, **fields}
        held.log.append(orjson.dumps(wire))
        for follower in held.followers:
            follower.push(held.log[-1])

    def hear(self, session_id: str, samples: int) -> None:
        """Report that the worker has processed so much audio."""
        for follower in self.held[session_id].followers:
            follower.push(orjson.dumps({"type": "progress", "consumed": samples}))

    async def workers(self) -> list[WorkerReport]:
        return [report(MODEL, 0, slots=self.slots, languages=self.languages, protocol=OWN)] if self.slots else []

    async def starting(self) -> list[StartReport]:
        return []

    async def admit(self, wanted: NewSession) -> bool:
        if sum(held.state in (b"waiting", b"live") for held in self.held.values()) >= wanted.capacity:
            return False
        self.held[wanted.session_id] = Held(options=wanted.options, resume_digest=wanted.resume_digest)
        return True

    async def awaits_clients(self, _models: Any) -> bool:
        return False

    async def dispatch(self, session_id: str, options: SessionOptions, _queue: Queue, _key_name: str = "") -> None:
        if self.claims:
            self.held[session_id].state = b"live"
            self.say(session_id, "ready", model=options.model)

    async def erase(self, session_id: str, _model: str) -> bool:
        self.erased.append(session_id)
        self.held[session_id].state = b"cancelled"
        return True

    async def follow(self, session_id: str, after_seq: int = 0) -> Follower:
        follower = Follower(self.redis, session_id, after_seq, time.monotonic)
        self.held[session_id].followers.append(follower)
        return follower

    async def unfollow(self, follower: Follower) -> None:
        self.held[follower.session_id].followers.remove(follower)

    def track(self, session_id: str, attachment: Attachment, tracks: int = 1) -> AudioTrack:
        return AudioTrack(self, session_id, attachment, tracks)

    def wake(self, track: AudioTrack) -> None:
        track.cut()

    def enqueue(self, entry: Any) -> None:
        held = self.held[entry.track.session_id]
        held.samples = entry.end_samples
        field, value, *_ = entry.fields
        if field == EntryField.CONTROL.encode():
            held.controls.append(str(value))
        if entry.track.on_stored is not None:
            entry.track.on_stored(entry.end_samples)

    def _answer(self, command: str, *words: str) -> Any:
        """What Redis replies to a command."""
        match command:
            case "EXISTS":
                return delivered(int(words[0] in map(keys.session, self.held)))
            case "SET":
                before = self.marks.get(words[0])
                self.marks.setdefault(words[0], words[1].encode())
                return before
            case "EVALSHA" if words[2] in self.marks:
                _, _, mark, own = words
                if self.marks[mark] == own.encode():
                    del self.marks[mark]
                return None
            case "HMGET":
                return self._facts(words[0])
            case "EVALSHA":
                attached = self._attach(words[2])
                return delivered(attached, self.attach_turns.pop(0)) if self.attach_turns else attached
            case "XRANGE":
                return self._logged(*words)
        raise AssertionError(command)

    def _facts(self, key: str) -> list[bytes | None]:
        held = next((held for session_id, held in self.held.items() if keys.session(session_id) == key), None)
        if held is None:
            return [None] * 6
        own = str(OWN.number).encode(), str(OWN.oldest).encode()
        return [held.state, held.resume_digest.encode(), held.options, b"%d" % len(held.log), *own]

    def _attach(self, key: str) -> list[Any]:
        held = next(held for session_id, held in self.held.items() if keys.session(session_id) == key)
        held.connection += 1
        for follower in held.followers:
            follower.push(orjson.dumps({"type": "attached", "connection": held.connection}))
        return [held.connection, b"%d-1" % held.samples, b"0", b"0", int("end" in held.controls)]

    def _logged(self, key: str, first: str, last: str) -> list[list[Any]]:
        held = next(held for session_id, held in self.held.items() if keys.events(session_id) == key)
        return log_range(held.log, first, last)
