"""Who may open the session of an identity, by what Redis says of its mark."""

from typing import Any

import pytest

from frontend.sessions.identities import sole_opening
from shared.bus import keys
from shared.errors import SessionResumedError
from tests.unit.redis_in_memory import answered


class Server:
    """Redis with the mark of one opening. A lost reply makes redis-py repeat the command."""

    def __init__(self, mark: str | None = None, *, loses_reply: bool = False) -> None:
        self.redis = answered(self._answer)
        self.mark = mark
        self._loses_reply = loses_reply

    def _answer(self, command: str, *words: str) -> Any:
        match command:
            case "SET":
                if self._loses_reply:
                    self.mark = words[1]
                former, self.mark = self.mark, self.mark or words[1]
                return None if former is None else former.encode()
            case "EXISTS":
                return 0
        assert (command, words[2]) == ("EVALSHA", keys.opening("s1"))
        self.mark = None if words[3] == self.mark else self.mark
        return 1


@pytest.mark.parametrize("loses_reply", [False, True])
async def test_opening_is_its_own_also_if_the_mark_was_set_twice(loses_reply: bool) -> None:
    server = Server(loses_reply=loses_reply)
    async with sole_opening(server.redis, "s1", 1.0):
        assert server.mark is not None
    assert server.mark is None


async def test_opening_of_another_connection_is_left_alone() -> None:
    server = Server("another")
    with pytest.raises(SessionResumedError, match="Another connection is opening session s1"):
        async with sole_opening(server.redis, "s1", 1.0):
            pass
    assert server.mark == "another"
