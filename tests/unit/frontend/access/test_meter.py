"""What a session owes its key: audio by the second, and its place."""

from pathlib import Path

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from frontend.access.access import Access
from frontend.access.meter import CHARGE_SAMPLES, Meter, closed_on_failure
from shared.bus import keys as bus_keys
from shared.bus.redis_internals import NoConnectionFreeError
from shared.errors import ServerBusyError, StoreUnreachableError
from shared.metrics.metrics import Metrics
from tests.unit.frontend.access.store import Store, access_of

AUDIO = bus_keys.audio_of("bert")


@pytest.fixture
def store() -> Store:
    return Store()


async def metered(folder: Path, store: Store, name: str = "bert") -> tuple[Access, Meter]:
    access, keys = access_of(folder, store)
    return access, await access.enter(await access.identify(keys.keys[name]), "s1")


def charged(store: Store) -> list[tuple[str, ...]]:
    return [asked for asked in store.asked if asked[0] == AUDIO]


async def test_audio_is_charged_by_the_second_and_slows_the_session_down(tmp_path: Path, store: Store) -> None:
    access, meter = await metered(tmp_path, store)
    meter.add(CHARGE_SAMPLES - 1)
    await access.close()
    assert charged(store) == []
    store.answers[AUDIO] = 30_000
    meter.add(CHARGE_SAMPLES + 1)
    meter.add(100)  # while the rest is being charged
    await access.close()
    assert [float(asked[1]) for asked in charged(store)] == pytest.approx([2 * 1000 + 100 / 16], abs=7)
    assert 29 < meter.wait_s <= 30
    assert meter.limit_text == "The key bert allows 60 s of audio a minute; further audio is accepted more slowly."


async def test_end_charges_what_is_left_and_gives_the_place_back(tmp_path: Path, store: Store) -> None:
    access, meter = await metered(tmp_path, store)
    meter.add(CHARGE_SAMPLES)
    meter.add(8000)
    meter.close()
    meter.close()
    await access.close()
    assert sum(float(asked[1]) for asked in charged(store)) == pytest.approx(1500)
    assert store.asked.count(("left", bus_keys.sessions_of("bert"), "s1")) == 1
    assert meter.wait_s == 0


async def test_a_session_that_another_connection_has_now_keeps_its_place(tmp_path: Path, store: Store) -> None:
    access, meter = await metered(tmp_path, store)
    meter.add(8000)
    meter.hand_over()
    meter.close()
    await access.close()
    assert sum(float(asked[1]) for asked in charged(store)) == pytest.approx(500)
    assert ("left", bus_keys.sessions_of("bert"), "s1") not in store.asked


async def test_audio_of_a_key_without_a_limit_costs_nothing(tmp_path: Path, store: Store) -> None:
    access, meter = await metered(tmp_path, store, "anna")
    meter.add(10 * CHARGE_SAMPLES)
    meter.close()
    await access.close()
    assert meter.key is not None
    assert await access._limiter.charge(meter.key, 16_000) == 0
    assert store.asked == []


async def test_audio_that_redis_did_not_take_is_charged_later(tmp_path: Path, store: Store) -> None:
    access, meter = await metered(tmp_path, store)
    store.is_gone = True
    meter.add(CHARGE_SAMPLES)
    await access.close()
    store.is_gone = False
    meter.add(CHARGE_SAMPLES)
    await access.close()
    assert [float(asked[1]) for asked in charged(store)] == [2000]
    store.is_gone = True
    meter.add(100)
    meter.close()
    await access.close()


@pytest.mark.parametrize(
    ("error", "becomes"),
    [
        (RedisConnectionError("gone"), StoreUnreachableError),
        (OSError("gone"), StoreUnreachableError),
        (NoConnectionFreeError("crowd"), ServerBusyError),
        (KeyError("other"), KeyError),
    ],
)
async def test_session_that_does_not_begin_owes_nothing(
    tmp_path: Path, store: Store, error: Exception, becomes: type[Exception]
) -> None:
    access, meter = await metered(tmp_path, store)
    with pytest.raises(becomes), closed_on_failure(meter):
        raise error
    await access.close()
    assert ("left", bus_keys.sessions_of("bert"), "s1") in store.asked
    with closed_on_failure(meter):
        pass


async def test_audio_of_every_key_is_counted_by_its_name(tmp_path: Path, store: Store) -> None:
    metrics = Metrics()
    access, keys = access_of(tmp_path, store)
    access._metrics = metrics
    for name in ("anna", "bert", "anna"):
        meter = await access.enter(await access.identify(keys.keys[name]), "s1")
        meter.add(CHARGE_SAMPLES // 2)
        meter.close()
    await access.close()
    assert metrics.take() == {
        b'["voxtral_audio_seconds","anna"]': 1.0,
        b'["voxtral_audio_seconds","bert"]': 0.5,
    }
