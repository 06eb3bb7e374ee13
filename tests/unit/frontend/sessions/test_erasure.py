"""The erasure of a session that a worker owns: the message that stops the worker does not stay in Redis."""

from typing import Any

from frontend.access.access import Access
from frontend.sessions.erasure import Erasure
from shared.bus import keys
from shared.bus.lua.sessions import Scripts
from shared.bus.messages import WorkerMessage
from shared.config.settings import Settings
from tests.unit.redis_in_memory import answered, script_named


async def test_worker_gets_a_message_that_expires() -> None:
    commands: list[tuple[str, ...]] = []

    def answer(command: str, *words: str) -> Any:
        commands.append((command, *words))
        return [b"w1", 1] if command == "EVALSHA" and script_named(words[0]) == "erase" else 1

    redis = answered(answer)
    assert await Erasure(redis, Scripts(redis), Access(Settings(), redis)).erase("s1", "echo")
    sent = [(name, *words) for name, key, *words in commands if key == keys.control("w1")]
    assert [(name, *words[-2:]) for name, *words in sent] == [
        ("XADD", WorkerMessage.CANCEL, "s1"),
        ("EXPIRE", str(keys.CONTROL_TTL_S)),
    ]
    assert "MAXLEN" in sent[0]
