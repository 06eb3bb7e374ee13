"""What a key allows, over all doors together: each door is another process."""

import json
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import pytest
from redis.asyncio import Redis

from frontend.access.limiter import LEASE_S, MAX_CLIENT_TOKENS, Limiter
from frontend.access.principal import Key, Limits
from shared.bus import keys
from shared.bus.connect import connect
from shared.errors import RateLimitedError
from tests.integration.api_clients import multipart, request, silent_wav
from tests.integration.native_clients import (
    FRONTENDS,
    Client,
    ask,
    base64_of,
    open_client,
    reset,
    tell,
    token_of,
    tone,
    until,
    wav,
)
from tests.integration.test_access import post
from tests.keys import KeyList
from tests.stack import Stack, wait_until


@pytest.fixture
def enter(keyed_stack: Stack, key_list: KeyList) -> Iterator[Callable[[str, str], Client]]:
    """Opens a client at a door with the key of this name."""
    with ExitStack() as opened:

        def enter(frontend: str, name: str) -> Client:
            client = open_client(keyed_stack, frontend)
            opened.callback(client.close)
            assert ask(client, type="auth", key=key_list.keys[name])["type"] == "authorized"
            return client

        yield enter


def unused_name() -> str:
    """The name of a key that no run of a test has used."""
    return f"limited-{secrets.token_hex(4)}"


@asynccontextmanager
async def limiter_of(stack: Stack) -> AsyncIterator[tuple[Limiter, Redis]]:
    store = connect(stack.settings)
    try:
        yield Limiter(store), store
    finally:
        await store.aclose()


def test_sessions_are_counted_over_all_doors(enter: Callable[[str, str], Client], key_list: KeyList) -> None:
    name = key_list.unused("single")
    first = enter("websocket", name)
    assert ask(first, type="start")["type"] == "ready"
    for frontend in ("tcp", "web"):
        other = enter(frontend, name)
        for asked in ({"type": "start"}, {"type": "audio", "audio_data": base64_of(wav(0.2))}):
            refused = ask(other, **asked)
            assert (refused["code"], refused["retry_after_s"]) == ("rate_limited", 2.0)
            assert "allows 1 sessions at the same time" in refused["message"]
    tell(first, type="cancel")
    wait_until(lambda: ask(other, type="start")["type"] == "ready", "the place is free again")


def test_a_session_keeps_its_place_while_others_try_to_resume_it_and_when_one_does(
    enter: Callable[[str, str], Client], key_list: KeyList
) -> None:
    name = key_list.unused("resuming")
    first, other = enter("websocket", name), enter("tcp", name)
    token = token_of(ask(first, type="start"))
    wrong = {**token, "resume_token": "wrong"}
    assert ask(other, type="resume", seq=1, **wrong)["code"] == "session_unknown"
    assert ask(other, type="start")["code"] == "rate_limited"
    resuming = enter("web", name)
    assert ask(resuming, type="resume", seq=1, **token)["type"] == "ready"
    assert until(first, "error")[-1]["code"] == "session_resumed"
    assert ask(other, type="start")["code"] == "rate_limited"


def test_place_of_a_client_that_broke_off_is_free_again(enter: Callable[[str, str], Client], key_list: KeyList) -> None:
    name = key_list.unused("dying")
    lost = enter("tcp", name)
    assert ask(lost, type="start")["type"] == "ready"
    lost.send_audio(tone(0.2))
    reset(lost)
    other = enter("websocket", name)
    wait_until(lambda: ask(other, type="start")["type"] == "ready", "the place is free again")


def test_requests_are_counted_over_all_doors(
    keyed_stack: Stack, enter: Callable[[str, str], Client], key_list: KeyList
) -> None:
    name = key_list.unused("asking")
    clients = [enter(frontend, name) for frontend in FRONTENDS]
    for client in clients:
        assert ask(client, type="audio", audio_data=base64_of(wav(0.2)))["type"] == "response"
    for client in clients:
        refused = ask(client, type="audio", audio_data=base64_of(wav(0.2)))
        assert refused["code"] == "rate_limited"
        assert 0 < refused["retry_after_s"] <= 20
        assert ask(client, type="ping")["type"] == "pong"
    response, body = post(keyed_stack, {}, key_list.keys[name])
    assert (response.status, body["error"]["code"]) == (429, "rate_limit_exceeded")
    assert 1 <= int(response.headers["retry-after"]) <= 20


def test_audio_over_the_rate_is_slowed_reported_and_transcribed_whole(
    enter: Callable[[str, str], Client], key_list: KeyList
) -> None:
    name = key_list.unused("listening")
    speaker, other = enter("websocket", name), enter("tcp", name)
    assert ask(speaker, type="start", partials=False)["type"] == "ready"
    speaker.send_audio(tone(61))
    sent_s = 61.0
    warned: list[dict[str, Any]] = []
    while not warned:
        speaker.send_audio(tone(0.1))
        sent_s += 0.1
        tell(speaker, type="ping")
        while (message := speaker.receive()) is not None and message["type"] != "pong":
            if message["type"] == "warning":
                warned.append(message)
                refused = ask(other, type="start")
    assert (warned[0]["code"], "60 s of audio a minute" in warned[0]["message"]) == ("rate_limited", True)
    assert (refused["code"], refused["retry_after_s"] > 0) == ("rate_limited", True)
    tell(speaker, type="stop")
    assert until(speaker, "done")[-1]["duration"] == pytest.approx(sent_s, abs=0.01)


@pytest.mark.parametrize("frontend", FRONTENDS)
def test_recording_over_the_size_is_refused(enter: Callable[[str, str], Client], frontend: str) -> None:
    client = enter(frontend, "small")
    assert ask(client, type="audio", audio_data=base64_of(wav(0.5)))["type"] == "response"
    refused = ask(client, type="audio", audio_data=base64_of(wav(1)))
    assert refused["code"] == "message_too_large"
    assert "over the limit of 20000 bytes" in refused["message"]
    assert client.receive() is None


def test_upload_over_the_size_is_refused_by_its_header(keyed_stack: Stack, key_list: KeyList) -> None:
    assert post(keyed_stack, b" " * 93_000, key_list.keys["small"])[0].status == 413


@pytest.mark.parametrize(("duration_s", "status"), [(0.6, 200), (0.63, 413), (2.0, 413)])
def test_size_of_an_upload_is_that_of_its_recording(
    keyed_stack: Stack, key_list: KeyList, duration_s: float, status: int
) -> None:
    """19 244, 20 204 and 64 044 bytes, where 20 000 are allowed."""
    file = silent_wav(duration_s)
    key = {"X-API-Key": key_list.keys["small"]}
    headers, body = multipart(file, model="echo")
    assert request(keyed_stack, "POST", "/v1/audio/transcriptions", headers | key, body)[0].status == status
    audio = {"type": "input_audio", "input_audio": {"data": base64_of(file), "format": "wav"}}
    asked = json.dumps({"model": "echo", "messages": [{"role": "user", "content": [audio]}]}).encode()
    headers = {"content-type": "application/json"} | key
    assert request(keyed_stack, "POST", "/v1/chat/completions", headers, asked)[0].status == status


async def test_sessions_of_a_frontend_that_died_count_until_their_lease_expires(keyed_stack: Stack) -> None:
    key = Key(unused_name(), "", limits=Limits(sessions=1))
    async with limiter_of(keyed_stack) as (limiter, store):
        await limiter.enter(key, "first")
        with pytest.raises(RateLimitedError):
            await limiter.enter(key, "second")
        await limiter.enter(key, "first")  # resumed: it has its place
        held = keys.sessions_of(key.name)
        assert 0 < await store.pttl(held) <= LEASE_S * 1000
        await store.zadd(held, {"first": 1})  # its lease was not renewed
        await limiter.enter(key, "second")
        await limiter.renew(key.name, ["second"])
        with pytest.raises(RateLimitedError):
            await limiter.enter(key, "third")
        await limiter.leave(key.name, "second")
        assert not await store.exists(held)


async def test_bucket_refills_evenly_and_leaves_no_data(keyed_stack: Stack) -> None:
    key = Key(unused_name(), "", limits=Limits(requests_per_minute=2, audio_s_per_minute=30))
    async with limiter_of(keyed_stack) as (limiter, store):
        await limiter.take_request(key)
        await limiter.take_request(key)
        with pytest.raises(RateLimitedError) as refused:
            await limiter.take_request(key)
        assert refused.value.retry_after_s is not None
        assert 20 < refused.value.retry_after_s <= 30
        assert 50_000 < await store.pttl(keys.requests_of(key.name)) <= 60_000
        assert await limiter.charge(key, 30 * 16_000) == 0
        assert 1 < await limiter.charge(key, 16_000) <= 2
        await limiter.charge(Key("free", ""), 16_000)
        assert not await store.exists(keys.audio_of("free"))


async def test_client_tokens_of_a_key_are_counted_while_they_are_valid(keyed_stack: Stack) -> None:
    many = unused_name()
    async with limiter_of(keyed_stack) as (limiter, store):
        await limiter.remember(many, "first", b"{}", 3600)
        for number in range(1, MAX_CLIENT_TOKENS):
            await limiter.remember(many, f"{number}", b"{}", 7200)
        held = keys.client_secrets_of(many)
        assert 7_000_000 < await store.pttl(held) <= 7_200_000
        with pytest.raises(RateLimitedError) as refused:
            await limiter.remember(many, "one too many", b"{}", 10)
        assert refused.value.retry_after_s is not None
        assert 3400 < refused.value.retry_after_s <= 3600
        assert await limiter.recall("one too many") is None
        await limiter.remember("other", "its first", b"{}", 10)
        await store.zadd(held, {"first": 1})  # its time is over
        await limiter.remember(many, "next", b"{}", 10)
        assert await limiter.recall("next") == b"{}"
