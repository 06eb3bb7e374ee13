"""The running processes: heartbeats of workers and frontends, and the slots that the workers of each model offer."""

import os
import secrets
import socket
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final, TypeVar, cast

import orjson
import structlog
from redis.asyncio import Redis

from shared.bus import control, keys, moves
from shared.bus.lua.sessions import Scripts
from shared.bus.messages import REPORT_FIELD, WorkerMessage
from shared.bus.ownership import NewSession
from shared.protocol import OF_CHANNELS, UNNUMBERED, Protocol
from shared.session_options import MAX_TRACKS


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Percentiles in milliseconds over the last minute, or the last few hundred observations if it has more."""

    p50: float = 0.0
    p95: float = 0.0
    p99: float = 0.0


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """What a worker reports each second."""

    id: str
    host: str
    pid: int
    version: str
    started_at: float
    """Unix time, seconds."""
    engine: str
    model: str
    device: str
    compute_type: str
    modes: list[str]
    languages: list[str]
    slots: int
    sessions: int
    draining: bool
    lag_ms: float
    """Age of the oldest audio of its live sessions that waits for the model."""
    real_time_factor: float
    """Seconds in the model per second of audio, over the interval since the last heartbeat."""
    batch_size: float
    """Mean sessions per step, over the interval since the last heartbeat."""
    step: Percentiles
    """Zeros if there was none in the last minute."""
    latency: dict[str, Percentiles]
    """`queue`, `model` and `total` of partials and finals of live sessions; empty if there were none in the last
    minute."""
    rss_bytes: int
    model_reason: str = ""
    """Why `model.name: auto` chose this model there; empty if the model was named."""
    load: float = 0.0
    """Duration of its longest passes (p99) over the audio of each pass; 0 if passes have no fixed length of audio."""
    overloaded: bool = False
    """Whether it accepts no new session because of its load; see `worker.load`."""
    slots_reason: str = ""
    """How many slots fit into its memory and run in real time; empty if this is not measured."""
    passes: str = ""
    """How its engine runs passes and computes attention; empty if there is only one way."""
    slots_used: int | None = None
    """Slots that its sessions have; None if each has one, as with older workers."""
    gpu_memory_used_bytes: int | None = None
    gpu_memory_total_bytes: int | None = None
    sessions_total: int = 0
    audio_s_total: float = 0.0
    heard_again_total: int = 0
    """How often its model wrote nothing for speech and processed it again."""
    second_model: str = ""
    """The model that decodes finals again; empty if there is none."""
    revisions_pending: int = 0
    """Finals that wait for it."""
    speaker_model: str = ""
    """The model with which it tells speakers apart; empty if it cannot."""
    protocol: Protocol = UNNUMBERED
    """The protocol that it reads and writes; older processes without protocol numbers do not report it."""
    resources: dict[str, float] = field(default_factory=dict)
    """What `shared.process.resources` measures; older processes do not report it."""
    event_loop_delay_ms: float = 0.0
    """The longest delay of its event loop in the last minute."""

    @property
    def slots_taken(self) -> int:
        return self.sessions if self.slots_used is None else self.slots_used

    @property
    def slots_free(self) -> int:
        """Slots that it offers to new sessions."""
        return 0 if self.overloaded else max(0, self.slots - self.slots_taken)

    @property
    def most_tracks(self) -> int:
        """The largest number of channels that it transcribes separately; 0 if its version knows none."""
        return min(self.slots, MAX_TRACKS) if OF_CHANNELS.fits(self.protocol) else 0


@dataclass(frozen=True, slots=True)
class FrontendReport:
    """What a frontend reports each second."""

    id: str
    kind: str
    """`websocket`, `tcp` or `web`."""
    host: str
    pid: int
    version: str
    started_at: float
    connections: int
    sessions: int
    received_bytes_total: int
    sessions_total: int
    rss_bytes: int
    viewers: int = 0
    """Viewers that are connected now."""
    waiting: int = 0
    """Recordings that wait for a slot."""
    orphaned: int = 0
    """Sessions whose worker is gone and that no other has taken over."""
    errors: dict[str, int] = field(default_factory=dict)
    """Number of errors by wire code, since the start."""
    protocol: Protocol = UNNUMBERED
    resources: dict[str, float] = field(default_factory=dict)
    event_loop_delay_ms: float = 0.0
    """The longest delay of its event loop in the last minute."""


@dataclass(frozen=True, slots=True)
class StartReport:
    """What a worker reports until its model is warm."""

    id: str
    model: str
    phase: str
    """`download`, `load`, `record` or `warm`."""
    doing: str
    """The same with figures, as a predicate whose subject is the worker."""


@dataclass(frozen=True, slots=True)
class SenderReport:
    """What a process that sends webhooks reports each second."""

    id: str
    host: str
    pid: int
    version: str
    started_at: float
    sending: int
    """Attempts that it makes now."""
    sessions: int
    """Live sessions with a webhook, of the whole service."""
    pending: int
    """Events that wait to be sent, of the whole service."""
    resources: dict[str, float] = field(default_factory=dict)


Report = TypeVar("Report", WorkerReport, FrontendReport, StartReport, SenderReport)
Part = TypeVar("Part", WorkerReport, FrontendReport, StartReport, SenderReport, Percentiles, Protocol)
_INDEX: Final = {WorkerReport: keys.WORKERS, FrontendReport: keys.FRONTENDS, SenderReport: keys.SENDERS}

log = structlog.get_logger(__name__)


def process_id() -> str:
    """A name for this process that is unique, also after a restart."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"


class Registry:
    """Reads and writes heartbeats, and admits sessions while slots are free."""

    def __init__(self, redis: Redis, scripts: Scripts) -> None:
        self._redis = redis
        self._scripts = scripts

    async def beat(self, report: WorkerReport | FrontendReport | SenderReport) -> None:
        if isinstance(report, WorkerReport):
            offered = "" if report.draining else report.slots_free
            of_worker = [keys.free(report.model), keys.control(report.id)]
            await self._beat(keys.WORKERS, report, of_worker, [offered, keys.CONTROL_TTL_S])
        else:
            await self._beat(_INDEX[type(report)], report)

    async def beat_start(self, report: StartReport) -> None:
        await self._beat(keys.STARTING, report)

    async def _beat(
        self,
        index: str,
        report: WorkerReport | FrontendReport | StartReport | SenderReport,
        more_keys: Sequence[str] = (),
        more_args: Sequence[str | int] = (),
    ) -> None:
        ttl_ms = int(keys.HEARTBEAT_TTL_S * 1000)
        await self._scripts.beat(
            keys=[index, keys.heartbeat(index, report.id), *more_keys],
            args=[report.id, ttl_ms, orjson.dumps(asdict(report)), *more_args],
        )

    async def end_start(self, report: StartReport) -> None:
        await self._redis.zrem(keys.STARTING, report.id)
        await self._redis.delete(keys.heartbeat(keys.STARTING, report.id))

    async def leave(self, report: WorkerReport | FrontendReport | SenderReport) -> None:
        """Remove the process at once, instead of when its heartbeat expires."""
        index = _INDEX[type(report)]
        if isinstance(report, WorkerReport):
            await self._redis.set(keys.left(report.id), 1, ex=keys.LEFT_TTL_S)
        await self._redis.zrem(index, report.id)
        await self._redis.delete(keys.heartbeat(index, report.id))
        if isinstance(report, WorkerReport):
            await self._redis.zrem(keys.free(report.model), report.id)
            await self._redis.delete(keys.control(report.id))

    async def workers(self) -> list[WorkerReport]:
        return [report for found in await self._reports(keys.WORKERS) if (report := _read(WorkerReport, found))]

    async def starting(self) -> list[StartReport]:
        """Workers whose model is not warm yet."""
        return [report for found in await self._reports(keys.STARTING) if (report := _read(StartReport, found))]

    async def frontends(self) -> list[FrontendReport]:
        return [report for found in await self._reports(keys.FRONTENDS) if (report := _read(FrontendReport, found))]

    async def senders(self) -> list[SenderReport]:
        return [report for found in await self._reports(keys.SENDERS) if (report := _read(SenderReport, found))]

    async def admitted(self, model: str) -> int:
        """Slots of this model that sessions hold or wait for."""
        return int(await self._redis.zcard(keys.admitted(model)))

    async def admit(self, wanted: NewSession) -> bool:
        """Reserve slots of the model and make the session's hash and audio stream.

        If too many of the model's slots are taken, sessions whose clients are gone lose their slots. False if these are
        too few, too.
        """
        losers = await moves.admit(self._scripts, wanted)
        for loser in losers or ():
            await self._take_slot_of(loser)
        return losers is not None

    async def awaits_clients(self, models: Iterable[str]) -> bool:
        """Whether there are sessions of these models that will lose their slots unless their clients reconnect."""
        return any([await self._redis.zcard(keys.awaiting(model)) for model in models])

    async def _take_slot_of(self, session_id: str) -> None:
        """Notify the worker of a session that lost its slot."""
        owner = cast("bytes | None", await self._redis.hget(keys.session(session_id), "owner"))
        if owner:
            await control.send(self._redis, owner.decode(), WorkerMessage.GIVE_WAY, session_id)

    async def _reports(self, index: str) -> list[dict[str, Any]]:
        members = cast("list[bytes]", await self._redis.zrange(index, 0, -1))
        ids = [member.decode() for member in members]
        pipe = self._redis.pipeline(transaction=False)
        for process_id in ids:
            pipe.hget(keys.heartbeat(index, process_id), REPORT_FIELD)
        return [orjson.loads(report) for report in await pipe.execute() if report is not None]


def _read(kind: type[Report], report: dict[str, Any]) -> Report | None:
    """Read a report that another version may have written: unknown fields are ignored. None if a required field is
    missing: such a process is treated as absent."""
    try:
        if "step" in report:
            report["step"] = _known(Percentiles, report["step"])
            report["latency"] = {name: _known(Percentiles, values) for name, values in report["latency"].items()}
        if "protocol" in report:
            report["protocol"] = _known(Protocol, report["protocol"])
        return _known(kind, report)
    except (TypeError, KeyError, AttributeError) as error:
        log.warning("report_unreadable", process=report.get("id"), version=report.get("version"), reason=str(error))
        return None


def _known(kind: type[Part], found: dict[str, Any]) -> Part:
    return kind(**{field.name: found[field.name] for field in fields(kind) if field.name in found})
