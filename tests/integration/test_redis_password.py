"""A password that Redis does not take, or misses: one sentence, the same from the service and from the doctor."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from frontend.cli.checks.check import State
from frontend.cli.checks.service import check_redis
from shared.bus.credentials import check_credentials
from shared.config.settings import Settings
from shared.entry import CANNOT_START
from shared.errors import StartupError
from tests.integration.launcher import Launcher, launcher_in
from tests.stack import Stack


@pytest.fixture
async def password(redis: Redis) -> AsyncIterator[str]:
    """Of the server, for the time of one test."""
    await redis.config_set("requirepass", "sesame")
    yield "sesame"
    await redis.config_set("requirepass", "")


@pytest.fixture
def launcher(tmp_path: Path) -> Iterator[Launcher]:
    with launcher_in(tmp_path) as launcher:
        yield launcher


def url(server: Stack, credentials: str) -> str:
    return f"redis://{credentials}127.0.0.1:{server.settings.redis.port}/0"


def assert_refused(settings: Settings, sentence: str) -> None:
    with pytest.raises(StartupError) as refused:
        check_credentials(settings)
    assert str(refused.value).startswith(f"Redis at {settings.redis_address} {sentence} Set REDIS_URL to ")
    assert "hush" not in str(refused.value)
    check = check_redis(settings)
    assert (check.state, check.detail) == (State.BROKEN, f"Redis at {settings.redis_address} {sentence}".rstrip("."))


@pytest.mark.parametrize(
    ("credentials", "sentence"),
    [
        (":hush@", "rejects the password in REDIS_URL."),
        ("anna:hush@", "rejects the password in REDIS_URL."),
        ("", "requires a password, but REDIS_URL has none."),
    ],
)
def test_wrong_or_missing_password_is_one_sentence(
    server: Stack, password: str, credentials: str, sentence: str
) -> None:
    assert_refused(Settings(redis={"url": url(server, credentials)}), sentence)
    right = Settings(redis={"url": url(server, f":{password}@")})
    check_credentials(right)
    assert check_redis(right).state is State.OK


def test_password_for_a_server_that_has_none_is_one_sentence(server: Stack, redis: Redis) -> None:
    assert_refused(Settings(redis={"url": url(server, ":hush@")}), "has no password, but REDIS_URL has one.")


def test_server_that_does_not_answer_is_waited_for() -> None:
    check_credentials(Settings(redis={"url": "redis://:hush@127.0.0.1:1/0"}))


def test_launcher_says_the_sentence_and_starts_nothing(server: Stack, password: str, launcher: Launcher) -> None:
    launcher.start("worker: python -m worker", listeners=False, REDIS_URL=url(server, ":hush@"))
    assert launcher.end(60) == CANNOT_START
    (line,) = launcher.err.splitlines()
    assert line.startswith(f"Redis at {server.settings.redis_address} rejects the password")
