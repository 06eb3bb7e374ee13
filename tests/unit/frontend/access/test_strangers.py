"""Connections without a key: few of one address, and few of all."""

import pytest

from frontend.access.strangers import Strangers
from shared.errors import ServerBusyError


def test_an_address_has_a_quarter_and_all_have_a_half() -> None:
    strangers = Strangers(20)
    first = [strangers.enter("192.0.2.1") for _ in range(5)]
    with pytest.raises(ServerBusyError, match="5 connections of your address") as refused:
        strangers.enter("192.0.2.1")
    assert refused.value.retry_after_s
    for _ in range(5):
        strangers.enter("192.0.2.2")
    with pytest.raises(ServerBusyError, match="10 connections of all clients"):
        strangers.enter("192.0.2.3")
    for one in first:
        one.leave()
        one.leave()
    assert len(strangers) == 5
    strangers.enter("192.0.2.1")


@pytest.mark.parametrize(
    ("one", "other"),
    [("2001:db8::1", "2001:db8::ffff:1"), ("::ffff:192.0.2.1", "192.0.2.1"), (None, "")],
)
def test_what_counts_as_one_address(one: str | None, other: str | None) -> None:
    strangers = Strangers(4)
    strangers.enter(one)
    with pytest.raises(ServerBusyError, match="your address"):
        strangers.enter(other)
    strangers.enter("2001:db8:0:1::1")


def test_there_is_room_for_one_wherever_there_is_room_at_all() -> None:
    Strangers(1).enter("192.0.2.1")
