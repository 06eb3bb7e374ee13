"""Redacted text reaches no client, no viewer and no Redis, live and of recordings."""

from collections.abc import Iterator

import pytest
from openai import OpenAI
from redis import Redis

from tests.integration.api_clients import post_form, silent_wav
from tests.integration.native_clients import ask, base64_of, open_client, tell, tone, until
from tests.integration.viewers import Read
from tests.stack import Stack

SECRET = b"2.5 seconds"
"""What the engine `echo` says."""
REDACTED = "[NUMBER] seconds"


@pytest.fixture
def store(stack: Stack) -> Iterator[Redis]:
    with Redis.from_url(stack.redis_url) as redis:
        yield redis


def kept(redis: Redis, session_id: str) -> bytes:
    """All that Redis has of a session, but for its audio."""
    readers = {
        b"string": redis.get,
        b"hash": redis.hgetall,
        b"list": lambda key: redis.lrange(key, 0, -1),
        b"stream": redis.xrange,
    }
    names = [key for key in redis.scan_iter(f"*{session_id}*") if not key.endswith(b":audio")]
    return b"".join(repr(readers[redis.type(key)](key)).encode() for key in names)


def test_redacted_text_is_in_no_event_and_not_in_redis(stack: Stack, store: Redis, read: Read) -> None:
    client = open_client(stack, "websocket")
    ready = ask(client, type="start", language="en", redact=["numbers"])
    client.send_audio(tone(2.5))
    tell(client, type="stop")
    events = until(client, "done")
    client.close()
    assert [event["type"] for event in events] == ["final", "done"]
    assert [event["text"] for event in events] == [REDACTED] * 2
    held = kept(store, ready["session_id"])
    assert REDACTED.encode() in held
    assert SECRET not in held
    transcript = read(f"/v1/sessions/{ready['session_id']}/transcript.txt", ready["viewer_token"])
    assert transcript.response.read().decode() == f"{REDACTED}\n"


def test_options_change_between_segments(stack: Stack) -> None:
    client = open_client(stack, "websocket")
    ask(client, type="start", partials=False)
    client.send_audio(tone(1.0))
    tell(client, type="commit")
    assert until(client, "final")[-1]["text"] == "1 seconds"
    tell(client, type="configure", language="en", redact=["numbers"], redact_terms=["Seconds"])
    client.send_audio(tone(1.0))
    tell(client, type="stop")
    assert until(client, "done")[-1]["text"] == "1 seconds [NUMBER] [REDACTED]"
    client.close()


def test_recordings(stack: Stack, openai_client: OpenAI) -> None:
    recording = silent_wav(2.5)
    reply = openai_client.audio.transcriptions.create(
        model="auto", file=("a.wav", recording), extra_body={"redact": ["numbers"]}
    )
    assert reply.text == REDACTED
    status, body = post_form(stack, "/v1/audio/transcriptions?dialect=mistral", recording, redact="numbers")
    assert (status, body["text"]) == (200, REDACTED)
    client = open_client(stack, "tcp")
    assert ask(client, type="audio", audio_data=base64_of(recording), redact=["numbers"])["text"] == REDACTED
    client.close()
