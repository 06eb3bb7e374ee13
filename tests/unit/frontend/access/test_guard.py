"""Whose a connection of the native protocol is: a key comes with the handshake or as a message, or not at all."""

import asyncio
from pathlib import Path

import pytest

from frontend.access import guard as guard_module
from frontend.access.access import Access
from frontend.access.guard import KEY_TIMEOUT_S, STRANGER_MESSAGE_MAX, Guard, restrict_stranger
from frontend.access.principal import ANONYMOUS
from frontend.access.strangers import Strangers
from shared.config.settings import Settings
from shared.errors import MessageTooLargeError, ServerBusyError, UnauthorizedError
from tests.keys import KeyList
from tests.unit.frontend.access.store import Store, access_of, reread

TOO_LARGE = MessageTooLargeError(10, 5)


class Client:
    def __init__(self) -> None:
        self.limits: list[int | None] = []

    def restrict(self, limit_bytes: int) -> None:
        self.limits.append(limit_bytes)

    def trust(self) -> None:
        self.limits.append(None)


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def keyed(tmp_path: Path) -> tuple[Access, KeyList]:
    return access_of(tmp_path, Store())


async def test_where_keys_are_off_everybody_is_known_at_once(client: Client) -> None:
    access = Access(Settings(), Store().redis)
    restrict_stranger(access, client)
    guard = Guard(access, client, "192.0.2.1")
    await guard.greet()
    assert client.limits == [None]
    guard.check(b"audio")
    assert guard.about(TOO_LARGE) is TOO_LARGE
    assert await guard.admit(10**9) is ANONYMOUS


async def test_client_that_shows_its_key_late_may_say_little_before(
    client: Client, keyed: tuple[Access, KeyList]
) -> None:
    access, keys = keyed
    restrict_stranger(access, client)
    guard = Guard(access, client, "192.0.2.1")
    await guard.greet()
    assert client.limits == [STRANGER_MESSAGE_MAX]
    assert len(access.strangers) == 1
    guard.check('{"type": "ping"}')
    for say in (lambda: guard.check(b"audio"), lambda: guard.check("x" * 5000)):
        with pytest.raises(UnauthorizedError, match="key"):
            say()
    assert isinstance(guard.about(TOO_LARGE), UnauthorizedError)
    with pytest.raises(UnauthorizedError):
        await guard.identify("vox_wrong")
    await guard.identify(keys.keys["bert"])
    assert client.limits == [STRANGER_MESSAGE_MAX, None]
    assert len(access.strangers) == 0
    guard.check(b"audio")
    assert (await guard.admit(1000)).name == "bert"
    with pytest.raises(MessageTooLargeError):
        await guard.admit(1001)
    guard.close()


async def test_key_of_the_handshake_counts_at_once(client: Client, keyed: tuple[Access, KeyList]) -> None:
    access, keys = keyed
    await Guard(access, client, None, presented_key=keys.keys["anna"]).greet()
    assert len(access.strangers) == 0
    with pytest.raises(UnauthorizedError):
        await Guard(access, client, None, presented_key="vox_wrong").greet()


async def test_too_many_strangers_are_refused_until_one_leaves(client: Client, tmp_path: Path) -> None:
    access, _ = access_of(tmp_path, Store())
    access.strangers = Strangers(4)
    first = Guard(access, client, "192.0.2.1")
    await first.greet()
    second = Guard(access, client, "192.0.2.1")
    with pytest.raises(ServerBusyError):
        await second.greet()
    first.close()
    await second.greet()


async def test_connection_ends_when_its_key_is_revoked_or_none_comes(
    client: Client, keyed: tuple[Access, KeyList], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard_module, "WATCH_INTERVAL_S", 0.0)
    access, keys = keyed
    known = Guard(access, client, None, presented_key=keys.keys["anna"])
    await known.greet()
    admitted = Guard(access, client, None, admitted=await access.identify(keys.keys["anna"]))
    keys.remove("anna")
    keys.write()
    await reread(access)
    for watching in (known.watch(), admitted.watch()):
        with pytest.raises(UnauthorizedError, match="anna has been revoked"):
            await asyncio.wait_for(watching, 10)
    stranger = Guard(access, client, None)
    await stranger.greet()
    stranger._came_at_s -= KEY_TIMEOUT_S
    with pytest.raises(UnauthorizedError, match="None was sent within 10 s"):
        await asyncio.wait_for(stranger.watch(), 10)
