"""Live captions: viewers get every final, in order."""

import json
import socket
import urllib.request

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect as connect_websocket

from tests.integration.viewers import (
    SECOND,
    Read,
    Speaker,
    Watch,
    socket_url,
)
from tests.limits import limit_s
from tests.stack import Stack, wait_until


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


def test_viewers_are_counted_while_they_read(stack: Stack, watch: Watch, speaker: Speaker) -> None:
    speaker.say()
    wait_until(lambda: stack.status()["viewers"] == 0, "viewers of earlier tests have gone")
    viewers = [watch(speaker) for _ in range(3)]
    for viewer in viewers:
        viewer.next()
    wait_until(lambda: stack.status()["viewers"] == 3, "they are counted")
    with urllib.request.urlopen(f"{stack.health_url}/metrics", timeout=limit_s(2)) as response:
        lines = response.read().decode().splitlines()
    counts = [line for line in lines if line.startswith("voxtral_frontend_viewers{")]
    assert [line.endswith(" 3.0") for line in counts if 'kind="web"' in line] == [True]
    for viewer in viewers:
        viewer.close()
    wait_until(lambda: stack.status()["viewers"] == 0, "they have gone")


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


def test_form_of_a_transcript_that_is_none_is_refused(read: Read, speaker: Speaker) -> None:
    error = read(f"{speaker.path}/transcript.pdf", speaker.token).error()
    assert (error["status"], error["param"]) == (400, "form")
    assert error["message"] == "form is 'pdf'; allowed: 'json', 'txt', 'srt' or 'vtt'."


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


def test_cancelled_session_lets_its_viewers_go(stack: Stack, watch: Watch, speaker: Speaker) -> None:
    viewer = watch(speaker)
    with connect_websocket(socket_url(stack, speaker)) as on_socket:
        speaker.client.send_text('{"type": "cancel"}')
        (error,) = viewer.rest()
        assert (error["code"], error["seq"] > 1) == ("session_expired", True)
        assert [json.loads(message)["code"] for message in on_socket] == ["session_expired"]
    assert watch(speaker).status == 404


def test_viewer_over_websocket_gets_the_same(stack: Stack, speaker: Speaker) -> None:
    first = speaker.say()
    headers = {"Authorization": f"Bearer {speaker.token}"}
    url = socket_url(stack, speaker).partition("?")[0]
    with connect_websocket(url, additional_headers=headers) as viewer:
        assert json.loads(viewer.recv(timeout=limit_s(5))) == first
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
