"""Why Redis rejects the credentials of the service, without the password."""

import pytest
from redis.exceptions import AuthenticationError

from shared.bus.credentials import refusal
from shared.redis_address import RedisAddress


@pytest.mark.parametrize(
    ("url", "answer", "sentence"),
    [
        ("redis://host:6379/0", "Authentication required.", "requires a password, but REDIS_URL has none."),
        (
            "redis://:secret@host:6379/0",
            "AUTH <password> called without any password configured for the default user",
            "has no password, but REDIS_URL has one.",
        ),
        ("redis://:secret@host:6379/0", "WRONGPASS invalid", "rejects the password in REDIS_URL."),
    ],
)
def test_reason_is_said_in_one_sentence(url: str, answer: str, sentence: str) -> None:
    said = refusal(RedisAddress.read(url), AuthenticationError(answer))
    assert said.endswith(sentence)
    assert said.startswith("Redis at redis://host:6379/0 ")
    assert "secret" not in said
