"""Live captions: who reads along gets every final, in order, and never slows the speaker."""

import json
import re
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from redis.asyncio import Redis
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect as connect_websocket

from shared.bus import keys
from shared.bus.connect import connect
from tests.integration.native_clients import WebSocketClient, ask, tell
from tests.integration.viewers import SECOND, Speaker, SseViewer, final_segments, speaking, subscribers
from tests.stack import Stack, free_ports, listens, wait_until

MANY = 200

Read = Callable[..., SseViewer]
Watch = Callable[..., SseViewer]


@pytest.fixture
def speaker(stack: Stack) -> Iterator[Speaker]:
    with speaking(stack) as speaker:
        yield speaker


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


@pytest.fixture
def opened() -> Iterator[list[SseViewer]]:
    viewers: list[SseViewer] = []
    yield viewers
    for viewer in viewers:
        viewer.close()


@pytest.fixture
def read(stack: Stack, opened: list[SseViewer]) -> Read:
    """Asks for a path and gets its answer."""

    def ask_for(path: str, token: str | None, last_event_id: object = None, **more: Any) -> SseViewer:
        opened.append(SseViewer(more.pop("url", stack.web_url), path, token, last_event_id, **more))
        return opened[-1]

    return ask_for


@pytest.fixture
def watch(read: Read) -> Watch:
    """Reads along with a speaker."""

    def begin(speaker: Speaker, last_event_id: object = None, **more: Any) -> SseViewer:
        return read(f"{speaker.path}/events", speaker.token, last_event_id, **more)

    return begin


def socket_url(stack: Stack, speaker: Speaker, query: str = "") -> str:
    return f"{stack.web_url.replace('http', 'ws', 1)}{speaker.path}/events?token={speaker.token}{query}"


def test_late_joiner_gets_the_finals_so_far_then_all_that_is_said(watch: Watch, speaker: Speaker) -> None:
    first, second = speaker.say(), speaker.say()
    viewer = watch(speaker)
    assert [viewer.next(), viewer.next()] == [first, second]
    assert viewer.retry_ms == 2000
    assert viewer.response.headers["cache-control"] == "no-store"
    speaker.client.send_audio(SECOND)
    partial = viewer.next()
    assert partial is not None
    assert partial["type"] == "partial"
    other = watch(speaker)
    assert [other.next(), other.next(), other.next()] == [first, second, partial]
    third = speaker.say()
    done = speaker.stop()
    for events in (viewer.rest(), other.rest()):
        assert events[-1] == done
        assert [event for event in events if event["type"] == "final"] == [third]


def test_viewer_comes_again_and_misses_no_final(watch: Watch, read: Read, speaker: Speaker) -> None:
    first = speaker.say()
    viewer = watch(speaker)
    assert viewer.next() == first
    viewer.close()
    said = [speaker.say() for _ in range(3)]
    again = watch(speaker, viewer.last_event_id)
    assert [again.next() for _ in said] == said
    by_query = read(f"{speaker.path}/events?token={speaker.token}&last_event_id={said[1]['seq']}", None)
    assert by_query.next() == said[2]
    done = speaker.stop()
    assert again.rest()[-1] == by_query.rest()[-1] == done


def test_ended_session_is_told_again_and_then_closed(stack: Stack, watch: Watch, speaker: Speaker) -> None:
    said = [speaker.say() for _ in range(250)]  # more than a page
    done = speaker.stop()
    assert watch(speaker).rest() == [*said, done]
    assert watch(speaker, said[-2]["seq"]).rest() == [said[-1], done]
    assert watch(speaker, done["seq"]).status == 204  # or a browser would ask for ever
    with connect_websocket(socket_url(stack, speaker, f"&last_event_id={said[-1]['seq']}")) as viewer:
        assert [json.loads(message) for message in viewer] == [done]


@pytest.mark.parametrize("given", ["x", "-1", "1.5", "9" * 17, "٣", "", "1,2"])
def test_malformed_resume_says_what_is_allowed(stack: Stack, watch: Watch, speaker: Speaker, given: str) -> None:
    if given.isascii():
        error = watch(speaker, given).error()
        assert (error["status"], error["param"]) == (400, "Last-Event-ID")
        assert "an integer from 0" in error["message"]
    with (
        pytest.raises(InvalidStatus) as refused,
        connect_websocket(socket_url(stack, speaker, f"&last_event_id={given}")),
    ):
        pass
    assert refused.value.response.status_code == 400


def test_a_wrong_token_is_answered_as_no_session_is(read: Read, speaker: Speaker) -> None:
    speaker.say()
    answers = []
    for path, token in (
        (speaker.path, "wrong"),
        (speaker.path, speaker.ready["resume_token"]),
        ("/v1/sessions/0123456789abcdef", speaker.token),
        ("/v1/sessions/{x}", speaker.token),
    ):
        answers += [read(f"{path}/{name}", token).error() for name in ("events", "transcript.txt")]
    assert answers[0]["status"] == 404
    assert answers[0]["code"] == "session_unknown"
    assert all(answer == answers[0] for answer in answers)
    missing = read(f"{speaker.path}/events", None)
    assert missing.response.headers["www-authenticate"] == "Bearer"
    assert missing.error()["status"] == 401


def test_a_viewer_token_only_reads(stack: Stack, speaker: Speaker) -> None:
    other = WebSocketClient(stack.ws_url)
    stolen = ask(other, type="resume", session_id=speaker.session_id, resume_token=speaker.token, seq=0)
    assert stolen["code"] == "session_unknown"
    with connect_websocket(socket_url(stack, speaker)) as viewer:
        viewer.send('{"type": "cancel"}')
        with pytest.raises(ConnectionClosed) as closed:
            viewer.recv(timeout=5)
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1008, "Viewers only listen.")
    assert speaker.say()["segment"] == 0
    again = WebSocketClient(stack.ws_url)
    resumed = ask(
        again, type="resume", session_id=speaker.session_id, resume_token=speaker.ready["resume_token"], seq=0
    )
    assert resumed["viewer_token"] == speaker.token
    tell(again, type="cancel")
    again.close()
    other.close()


def test_tokens_are_not_logged(stack: Stack, speaker: Speaker) -> None:
    with connect_websocket(socket_url(stack, speaker)) as viewer:
        speaker.stop()
        list(viewer)
    with pytest.raises(InvalidStatus), connect_websocket(socket_url(stack, speaker, "&last_event_id=x")):
        pass
    log = (stack.folder / "logs" / "voxtral_streaming.log").read_text()
    assert speaker.token not in log + stack.output("web")


def test_transcripts_say_whether_they_are_whole(read: Read, speaker: Speaker) -> None:
    speaker.say(SECOND)
    assert transcript(read, speaker, "txt") == ("false", "1 seconds\n")
    speaker.say(SECOND * 2)
    done = speaker.stop()
    complete, text = transcript(read, speaker, "json")
    document = json.loads(text)
    assert (complete, document["complete"], document["text"]) == ("true", True, done["text"])
    assert document["segments"][1] == {
        "segment": 1,
        "start": 1.0,
        "end": 3.0,
        "text": "2 seconds",
        "language": None,
        "words": [{"text": "2 seconds", "start": 1.0, "end": 3.0}],
    }
    _, srt = transcript(read, speaker, "srt")
    assert srt.startswith("1\n00:00:00,000 --> 00:00:01,000\n1 seconds\n\n2\n00:00:01,000 -->")
    _, vtt = transcript(read, speaker, "vtt")
    assert vtt.startswith("WEBVTT\n\n00:00:00.000 --> 00:00:01.000\n1 seconds\n")
    error = read(f"{speaker.path}/transcript.doc", speaker.token).error()
    assert error["status"] == 400
    assert "'vtt'" in error["message"]


def transcript(read: Read, speaker: Speaker, form: str) -> tuple[str, str]:
    """Whether it is complete, and the document."""
    answer = read(f"{speaker.path}/transcript.{form}", speaker.token)
    assert answer.status == 200
    return answer.response.headers["transcript-complete"], answer.response.read().decode()


async def test_many_viewers_cost_one_subscription(watch: Watch, speaker: Speaker, redis: Redis) -> None:
    channel = keys.channel(speaker.session_id).encode()
    viewers = [watch(speaker) for _ in range(MANY)]
    # The speaker's frontend has the one, the viewers' the other.
    assert await redis.pubsub_numsub(channel) == [(channel, 2)]
    clients = [client for client in await redis.client_list(_type="pubsub") if int(client["sub"]) > 0]
    assert len(clients) == len(await redis.zrange(keys.FRONTENDS, 0, -1))
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
    log = stack.folder / "logs" / "voxtral_streaming.log"
    said = []
    while speaker.session_id not in dropped(log.read_text()):
        said += [speaker.say() for _ in range(50)]
        assert next_finals(quick, 50) == said[-50:]
    taken = slow.rest()
    assert taken[-1]["code"] == "viewer_slow"
    assert "bytes waited to be read" in taken[-1]["message"]
    heard = final_segments(taken)
    assert heard == list(range(len(heard)))
    again = watch(speaker, slow.last_event_id)
    speaker.stop()
    assert heard + final_segments(again.rest()) == list(range(len(said)))


def next_finals(viewer: SseViewer, count: int) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = []
    while len(told) < count:
        event = viewer.next()
        assert event is not None
        if event["type"] == "final":
            told.append(event)
    return told


def dropped(log: str) -> list[str]:
    lines = (json.loads(line) for line in log.splitlines() if '"viewer_dropped"' in line)
    return [line["session_id"] for line in lines]


def test_cancelled_session_lets_its_viewers_go(stack: Stack, watch: Watch, speaker: Speaker) -> None:
    viewer = watch(speaker)
    with connect_websocket(socket_url(stack, speaker)) as on_socket:
        speaker.client.send_text('{"type": "cancel"}')
        assert [event["code"] for event in viewer.rest()] == ["session_expired"]
        assert [json.loads(message)["code"] for message in on_socket] == ["session_expired"]
    assert watch(speaker).status == 404


def test_viewer_over_websocket_gets_the_same(stack: Stack, speaker: Speaker) -> None:
    first = speaker.say()
    headers = {"Authorization": f"Bearer {speaker.token}"}
    url = socket_url(stack, speaker).partition("?")[0]
    with connect_websocket(url, additional_headers=headers) as viewer:
        assert json.loads(viewer.recv(timeout=5)) == first
        said = [speaker.say() for _ in range(3)]
        done = speaker.stop()
        told = [json.loads(message) for message in viewer]
    assert [event for event in told if event["type"] == "final"] == said
    assert told[-1] == done
    assert viewer.close_code == 1000
    with pytest.raises(InvalidStatus) as refused, connect_websocket(url):
        pass
    assert refused.value.response.status_code == 401
    assert json.loads(refused.value.response.body)["error"]["code"] == "invalid_api_key"


def test_a_proxy_of_http_1_0_gets_no_chunks(stack: Stack, speaker: Speaker) -> None:
    first = speaker.say()
    host, port = "127.0.0.1", stack.settings.server.http_port
    with socket.create_connection((host, port), 10) as bare, bare.makefile("rb") as answer:
        bare.sendall(f"GET {speaker.path}/events?token={speaker.token} HTTP/1.0\r\n\r\n".encode())
        while f'"seq":{first["seq"]}'.encode() not in answer.readline():
            pass
        speaker.stop()
        lines = answer.read().split(b"\n")
    assert {line.partition(b":")[0] for line in lines} == {b"", b"id", b"data"}


def test_places_are_bounded_and_a_stop_lets_viewers_go(
    stack: Stack, small_web: str, watch: Watch, speaker: Speaker
) -> None:
    left, kept = watch(speaker, url=small_web), watch(speaker, url=small_web)
    refused = watch(speaker, url=small_web)
    assert (refused.status, refused.response.headers["retry-after"]) == (503, "2")
    assert refused.error()["message"] == "All 2 viewers' places of this session here are taken."
    with speaking(stack) as other, speaking(stack) as third:
        watch(other, url=small_web)
        assert watch(third, url=small_web).error()["message"] == "All 3 viewers' places of this server are taken."
        left.close()
        wait_until(lambda: watch(third, url=small_web).status == 200, "a place is free")
    final = speaker.say()
    assert next_finals(kept, 1) == [final]
    assert stack.stop("small-web", signal.SIGTERM) == 0
    assert kept.next() is None
    assert not re.search("Cancel|Traceback|ERROR", stack.output("small-web"))
    assert watch(speaker, 0).next() == final
