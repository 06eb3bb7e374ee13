"""Which server counts as the primary if Sentinels differ, and why there is none."""

from collections.abc import Callable
from typing import Any

import pytest
from redis.exceptions import AuthenticationError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError

from shared.bus.primary import NoPrimaryError, Primary, SentinelRefusalError
from shared.redis_address import RedisAddress

ADDRESS = RedisAddress.read("redis+sentinel://s1,s2,s3/mymaster")
GONE = RedisConnectionError("Connection refused.")


class Sentinel:
    """Answers with a server and an epoch, or with an error."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def execute_command(self, *_words: str) -> dict[bytes, bytes]:
        if isinstance(self._answer, Exception):
            raise self._answer
        host, epoch, flags = self._answer
        return {b"ip": host, b"port": b"6379", b"config-epoch": b"%d" % epoch, b"flags": flags}


@pytest.fixture
def primary(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Primary]:
    def of(*answers: Any) -> Primary:
        made = Primary(ADDRESS, "test")
        sentinels = [Sentinel(answer) for answer in answers]
        monkeypatch.setattr(made, "_sentinels", dict(zip(ADDRESS.nodes, sentinels, strict=True)))
        return made

    return of


def test_answer_of_the_latest_failover_counts(primary: Callable[..., Primary]) -> None:
    """A Sentinel that was cut off from the others still names the former primary."""
    found = primary((b"old", 1, b"master"), (b"new", 2, b"master"), (b"old", 1, b"master"))
    assert (found.known, found.find(), found.known) == (None, ("new", 6379), ("new", 6379))


def test_some_sentinels_suffice_and_a_primary_that_is_down_does_not_count(primary: Callable[..., Primary]) -> None:
    found = primary(GONE, (b"down", 9, b"s_down,master"), (b"up", 2, b"master"))
    assert (found.find(), found.trouble) == (("up", 6379), None)


@pytest.mark.parametrize(
    ("answers", "kind", "sentence"),
    [
        (
            [GONE, GONE, GONE],
            NoPrimaryError,
            "No Sentinel of 'mymaster' can be reached (s1:26379: Connection refused; ",
        ),
        (
            [GONE, ResponseError("No such master with that name"), GONE],
            NoPrimaryError,
            "The Sentinel at s2:26379 knows no service 'mymaster'.",
        ),
        (
            [(b"old", 1, b"o_down,master"), GONE, GONE],
            NoPrimaryError,
            "The primary of 'mymaster' is down, and no failover has ended yet.",
        ),
        (
            [GONE, AuthenticationError("Authentication required."), GONE],
            SentinelRefusalError,
            "The Sentinel at s2:26379 requires a password, but REDIS_URL has no sentinel_password.",
        ),
    ],
    ids=["unreachable", "unknown service", "down", "password"],
)
def test_trouble_is_one_sentence(
    primary: Callable[..., Primary], answers: list[Any], kind: type[Exception], sentence: str
) -> None:
    found = primary(*answers)
    with pytest.raises(kind) as raised:
        found.find()
    assert str(raised.value).startswith(sentence)
    assert found.trouble == str(raised.value)
