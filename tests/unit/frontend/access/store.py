"""The Redis of a frontend's limits, in memory: a test says what its scripts answer."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError

from frontend.access.access import Access
from shared.config.settings import Settings
from tests.keys import KeyList
from tests.unit.redis_in_memory import answered


class Store:
    """Answers each script by the first of its keys. What it does not know is answered with 0."""

    def __init__(self, answers: Mapping[str, int] | None = None) -> None:
        self.answers = dict(answers or {})
        self.asked: list[tuple[str, ...]] = []
        """The key, and the arguments."""
        self.kept: dict[str, bytes] = {}
        self.is_gone = False
        self.redis = answered(self._answer)

    def _answer(self, command: str, *words: str) -> Any:
        if self.is_gone:
            raise RedisConnectionError("gone")
        if command == "EVALSHA":
            count = int(words[1])
            self.asked.append((words[2], *words[2 + count :]))
            return self.answers.get(words[2], 0)
        if command == "SET":
            self.kept[words[0]] = words[1].encode()
            return b"OK"
        if command == "GET":
            return self.kept.get(words[0])
        assert command == "ZREM"
        self.asked.append(("left", *words))
        return 1


def access_of(folder: Path, store: Store, **access: Any) -> tuple[Access, KeyList]:
    """With keys: `anna` without a limit, and `bert` with all of them."""
    keys = KeyList(folder / "keys.yaml")
    keys.add("anna")
    keys.add("bert", requests_per_minute=3, sessions=1, audio_s_per_minute=60, upload_bytes=1000)
    keys.add("late", expires="2020-01-01")
    keys.write()
    return Access(Settings(access={"keys_file": str(keys.path), **access}), store.redis), keys


async def reread(access: Access) -> None:
    """Have it see that its file has changed, and changes no more."""
    await access._source.refresh()
    await access._source.refresh()
