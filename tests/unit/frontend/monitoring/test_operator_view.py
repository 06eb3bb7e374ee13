"""One reading of Redis serves all operators of a process."""

import asyncio

import pytest
from redis.asyncio import Redis

from frontend.access.key_list import parse_keys
from frontend.monitoring import operator_view
from frontend.monitoring.operator_view import OperatorView
from shared.config.settings import Settings
from shared.errors import StartupError


async def test_concurrent_operators_share_one_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = 0

    async def counted(*_: Redis | None) -> operator_view.Snapshot:
        nonlocal readings
        readings += 1
        await asyncio.sleep(0)  # the other operators ask meanwhile
        return operator_view.Snapshot(None, None, [], [])

    monkeypatch.setattr(operator_view, "take_snapshot", counted)
    monkeypatch.setattr(operator_view, "READING_LIFE_S", 3600.0)
    redis = Redis()  # never connected
    view = OperatorView(Settings(), redis, None)
    states = await asyncio.gather(*(view.read() for _ in range(20)))
    assert readings == 1
    assert {state["redis_ms"] for state in states} == {None}
    assert states[0]["sessions"] == states[0]["workers"] == []
    await redis.aclose()


@pytest.mark.parametrize(
    ("text", "is_operator"), [("", False), (", operator: true", True), (", operator: false", False)]
)
def test_list_says_which_keys_are_operators(text: str, is_operator: bool) -> None:
    (key,) = parse_keys(f"- {{name: anna, sha256: {'a' * 64}{text}}}", "The list")
    assert key.is_operator is is_operator


def test_list_rejects_another_value_for_operator() -> None:
    with pytest.raises(StartupError, match="'operator' is 'yes'; allowed: true or false"):
        parse_keys(f"- {{name: anna, sha256: {'a' * 64}, operator: yes}}", "The list")
