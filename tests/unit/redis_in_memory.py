"""A transport for redis-py with replies from the test: the real client and pipelines, no server and no socket."""

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from inspect import isawaitable
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError

from shared.bus.lua.sessions import Scripts
from shared.bus.messages import EVENT_FIELD
from shared.bus.redis_internals import FairPool
from shared.bus.scripts import Script

Answer = Callable[..., Any | Awaitable[Any]]
"""Gets the words of one command. Returns Redis' reply or an awaitable of it; raises ResponseError as Redis
does, or another error as if the connection were lost."""


class MemoryConnection(AbstractConnection):
    def __init__(self, *, answer: Answer, **options: Any) -> None:
        super().__init__(retry=Retry(NoBackoff(), 0), **options)
        self._answer = answer
        self._replies: deque[Any] = deque()

    async def connect(self) -> None:
        return

    async def disconnect(self, *_arguments: Any, **_options: Any) -> None:
        self._replies.clear()

    async def can_read(self) -> bool:
        return False

    def pack_commands(self, commands: Iterable[Iterable[Any]]) -> Any:
        return list(commands)

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        for words in command:
            self._take(words)

    async def send_command(self, *words: Any, **_options: Any) -> None:
        self._take(words)

    async def read_response(self, *_arguments: Any, **_options: Any) -> Any:
        reply = self._replies.popleft()
        if isawaitable(reply):
            reply = await reply
        if isinstance(reply, ResponseError):
            raise reply
        return reply

    def _take(self, words: Iterable[Any]) -> None:
        told = [word.decode() if isinstance(word, bytes) else str(word) for word in words]
        try:
            self._replies.append(self._answer(*told))
        except ResponseError as error:
            self._replies.append(error)

    def repr_pieces(self) -> list[Any]:
        return []

    async def _connect(self) -> None:
        return

    def _host_error(self) -> str:
        return "memory"


def answered(answer: Answer) -> Redis:
    """A client whose commands this function answers."""
    return Redis.from_pool(FairPool(connection_class=MemoryConnection, answer=answer, protocol=2))


def script_named(sha: str) -> str:
    """The name of a script of sessions and slots, such as `write`, by its hash; empty for other scripts."""
    return _names.get(sha, "")


_names = {
    script._sha: name for name, script in vars(Scripts(answered(lambda *_: None))).items() if isinstance(script, Script)
}


def log_range(events: Sequence[bytes], first: str, last: str) -> list[list[Any]]:
    """Redis' reply to XRANGE on an event log that holds these events, the first of which has the number 1."""
    after = int(first.strip("(").partition("-")[0])
    before = len(events) + 1 if last == "+" else int(last.strip("(").partition("-")[0])
    return [[b"%d-0" % seq, [EVENT_FIELD.encode(), events[seq - 1]]] for seq in range(after + 1, before)]


class Clock:
    """A clock that advances only on request. Seconds."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s

    def pass_s(self, seconds: float) -> None:
        self.now_s += seconds
