"""How scripts run: by hash, many in one round trip, and again when Redis does not know them."""

from typing import Any

import pytest
from redis.exceptions import NoScriptError, ResponseError

from shared.bus.scripts import Script
from tests.unit.redis_in_memory import answered

TEXT = "return KEYS[1]"


class Server:
    def __init__(self, *, knows: bool) -> None:
        self.knows = knows
        self.commands: list[str] = []

    def __call__(self, command: str, *words: str) -> Any:
        self.commands.append(command)
        if command == "SCRIPT LOAD":
            assert words == (TEXT,)
            self.knows = True
            return b"c8b94a4ebb1c9ae0cbb5cb0eb4d7b6b2e9a1cdb5"
        assert command == "EVALSHA"
        if not self.knows:
            raise NoScriptError("No matching script")
        if words[2] == "bad":
            raise ResponseError("bad key")
        return words[2].encode()


async def test_script_is_loaded_only_when_redis_does_not_know_it() -> None:
    server = Server(knows=True)
    script = Script(answered(server), TEXT)
    assert await script.many([(["a"], []), (["b"], [1])]) == [b"a", b"b"]
    assert server.commands == ["EVALSHA", "EVALSHA"]
    server.knows = False
    assert await script.many([(["a"], []), (["b"], [1])]) == [b"a", b"b"]
    assert server.commands[2:] == ["EVALSHA", "EVALSHA", "SCRIPT LOAD", "EVALSHA", "EVALSHA"]


async def test_error_of_one_call_stands_in_its_place() -> None:
    script = Script(answered(Server(knows=True)), TEXT)
    first, error, last = await script.many([(["a"], []), (["bad"], []), (["b"], [])])
    assert (first, last) == (b"a", b"b")
    assert isinstance(error, ResponseError)


async def test_no_calls_ask_nothing() -> None:
    server = Server(knows=False)
    assert await Script(answered(server), TEXT).many([]) == []
    assert server.commands == []


async def test_script_on_a_new_connection_is_loaded_once_and_only_for_calls() -> None:
    server = Server(knows=False)
    redis = answered(server)
    connection = redis.connection_pool.make_connection()
    script = Script(redis, TEXT)
    await script.on_connection(connection, [])
    assert server.commands == []
    await script.on_connection(connection, [(["a"], []), (["b"], [])])
    assert server.commands == ["SCRIPT LOAD", "EVALSHA", "EVALSHA"]
    with pytest.raises(ResponseError, match="bad key"):
        await script.on_connection(connection, [(["bad"], [])])
