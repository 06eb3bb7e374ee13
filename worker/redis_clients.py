"""A worker's clients of Redis: each purpose has its own, so that none of them waits for another."""

from collections.abc import Callable

from redis.asyncio import Redis

from shared.bus.lua.sessions import Scripts
from shared.config.settings import Settings
from worker.audio_reader import BLOCK_MS, SPARE_CONNECTIONS
from worker.event_writer import RecentWrites


class RedisClients:
    def __init__(self, settings: Settings, client: Callable[..., Redis], slots: int) -> None:
        """`client` creates one with the arguments of `connect`."""
        replicas = settings.redis.confirm_replicas
        self.redis = client(settings)
        self.scripts = Scripts(self.redis, replicas)
        """For everything but events."""
        self.blocking = client(settings, reply_timeout_s=5 * BLOCK_MS / 1000, connections=slots + SPARE_CONNECTIONS)
        """For reads that wait for audio."""
        self.recent = RecentWrites()
        self._writing = client(settings, greet=self.recent.repeat)
        self.writing = Scripts(self._writing, replicas)
        """For the events of sessions."""

    async def close(self) -> None:
        await self.blocking.aclose()
        await self._writing.aclose()
        await self.redis.aclose()
