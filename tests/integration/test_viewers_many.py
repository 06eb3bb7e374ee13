"""Live captions: many viewers, slow ones among them, cost little and never slow the speaker."""

import re
import signal
from collections.abc import AsyncIterator, Iterator

import pytest
from redis.asyncio import Redis

from shared.bus import keys
from shared.bus.connect import connect
from tests.integration.viewers import (
    Speaker,
    Watch,
    final_segments,
    next_finals,
    speaking,
    subscribers,
)
from tests.integration.workers import until
from tests.stack import Stack, free_ports, listens, wait_until

MANY = 200


@pytest.fixture
async def redis(stack: Stack) -> AsyncIterator[Redis]:
    client = connect(stack.settings)
    yield client
    await client.aclose()


@pytest.fixture
def small_web(stack: Stack) -> Iterator[str]:
    """A second web server, with room for two viewers of a session and three in all."""
    port = free_ports(1)[0]
    limits = {"VOXTRAL_VIEWERS__MAX_PER_SESSION": "2", "VOXTRAL_VIEWERS__MAX_PER_PROCESS": "3"}
    stack.spawn("web", "small-web", VOXTRAL_SERVER__HTTP_PORT=str(port), **limits)
    wait_until(lambda: listens(port), "the second web server listens", 30)
    yield f"http://127.0.0.1:{port}"
    if "small-web" in stack.processes:
        stack.stop("small-web")


async def each_frontend_has_one(redis: Redis) -> bool:
    """Whether there are as many subscription connections as frontends."""
    clients = [client for client in await redis.client_list(_type="pubsub") if int(client["sub"]) > 0]
    return len(clients) == len(await redis.zrange(keys.FRONTENDS, 0, -1))


async def test_many_viewers_cost_one_subscription(watch: Watch, speaker: Speaker, redis: Redis) -> None:
    channel = keys.channel(speaker.session_id).encode()
    viewers = [watch(speaker) for _ in range(MANY)]
    # The speaker's frontend has the one, the viewers' the other.
    assert await redis.pubsub_numsub(channel) == [(channel, 2)]
    await until(lambda: each_frontend_has_one(redis))  # one that another test has ended is listed for a moment
    final, done = speaker.say(), speaker.stop()
    for viewer in viewers:
        events = viewer.rest()
        assert (final_segments(events), events[-2:]) == ([0], [final, done])
        viewer.close()

    await subscribers(redis, speaker.session_id, 0)


async def test_the_last_viewer_takes_the_subscription_along(watch: Watch, speaker: Speaker, redis: Redis) -> None:
    channel = keys.channel(speaker.session_id).encode()
    first, second = watch(speaker), watch(speaker)
    first.close()
    assert await redis.pubsub_numsub(channel) == [(channel, 2)]
    second.close()
    await subscribers(redis, speaker.session_id, 1)
    final = speaker.say()
    assert watch(speaker).next() == final


def test_slow_viewer_is_dropped_with_a_reason_and_nobody_waits_for_it(
    stack: Stack, watch: Watch, speaker: Speaker
) -> None:
    slow = watch(speaker, receive_buffer_bytes=4096)
    quick = watch(speaker)
    said = []
    while speaker.session_id not in [line["session_id"] for line in stack.log("viewer_dropped")]:
        said += [speaker.say() for _ in range(50)]
        assert next_finals(quick, 50) == said[-50:]
    taken = slow.rest()
    assert taken[-1]["code"] == "viewer_slow"
    assert "bytes unread" in taken[-1]["message"]
    heard = final_segments(taken)
    assert heard == list(range(len(heard)))
    again = watch(speaker, slow.last_event_id)
    speaker.stop()
    assert heard + final_segments(again.rest()) == list(range(len(said)))


def test_places_are_bounded_and_a_stop_lets_viewers_go(
    stack: Stack, small_web: str, watch: Watch, speaker: Speaker
) -> None:
    left, kept = watch(speaker, url=small_web), watch(speaker, url=small_web)
    refused = watch(speaker, url=small_web)
    assert (refused.status, refused.response.headers["retry-after"]) == (503, "2")
    assert refused.error()["message"] == "The limit of 2 viewers of this session is reached."
    with speaking(stack) as other, speaking(stack) as third:
        watch(other, url=small_web)
        assert watch(third, url=small_web).error()["message"] == "The limit of 3 viewers of this server is reached."
        left.close()
        wait_until(lambda: watch(third, url=small_web).status == 200, "a place is free")
    final = speaker.say()
    assert next_finals(kept, 1) == [final]
    assert stack.stop("small-web", signal.SIGTERM) == 0
    assert kept.next() is None
    assert not re.search("Cancel|Traceback|ERROR", stack.output("small-web"))
    assert watch(speaker, 0).next() == final
