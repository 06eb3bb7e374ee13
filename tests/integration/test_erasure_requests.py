"""`DELETE /v1/sessions/{id}`: which clients may erase a session, and what happens to its client, viewers and worker."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from redis import Redis

from shared.bus import keys
from tests.integration.api_clients import request
from tests.integration.native_clients import WebSocketClient, ask, tell, until
from tests.integration.viewers import SECOND, Speaker, Watch
from tests.keys import KeyList
from tests.stack import Stack, wait_until


@pytest.fixture
def open_with(keyed_stack: Stack, key_list: KeyList) -> Iterator[Callable[[str], dict[str, str]]]:
    """Opens a live session with the key of this name, and returns its `ready`."""
    with ExitStack() as opened:

        def open_with(name: str) -> dict[str, str]:
            client = WebSocketClient(keyed_stack.ws_url, additional_headers={"X-API-Key": key_list.keys[name]})
            opened.callback(client.close)
            opened.callback(client.send_text, '{"type": "cancel"}')
            ready: dict[str, str] = ask(client, type="start")
            client.send_audio(SECOND)
            return ready

        yield open_with


def erase(stack: Stack, session_id: str, token: str | None = None, **headers: str) -> tuple[int, str | None]:
    """The status of a request, and the code of its error."""
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    response, body = request(stack, "DELETE", f"/v1/sessions/{session_id}", headers)
    return response.status, json.loads(body)["error"]["code"] if body else None


def test_resume_token_erases_without_any_key(stack: Stack, speaker: Speaker, watch: Watch) -> None:
    speaker.say()
    viewer = watch(speaker)
    sid, resume_token = speaker.session_id, speaker.ready["resume_token"]
    assert erase(stack, sid) == (401, "invalid_api_key")
    assert erase(stack, sid, speaker.token) == (403, "forbidden")
    assert erase(stack, sid, "wrong") == erase(stack, "0123456789abcdef", resume_token) == (404, "session_unknown")
    assert erase(stack, "{x}", resume_token) == (404, "session_unknown")
    assert speaker.say()["segment"] == 1
    assert erase(stack, sid, resume_token) == (204, None)
    with Redis.from_url(stack.redis_url) as store:
        assert not store.exists(keys.audio(sid), keys.events(sid), keys.finals(sid))
        assert store.zscore(keys.admitted("echo"), sid) is None
    assert viewer.rest()[-1]["code"] == "session_expired"
    ended = until(speaker.client, "error")[-1]
    assert (ended["code"], ended["session_id"]) == ("session_expired", sid)
    assert ask(speaker.client, type="ping")["type"] == "pong"
    assert erase(stack, sid, resume_token)[0] == 404
    assert watch(speaker).error()["status"] == 404
    other = WebSocketClient(stack.ws_url)
    resumed = ask(other, type="resume", session_id=sid, resume_token=resume_token, seq=0)
    assert resumed["code"] in ("session_expired", "session_unknown")
    other.close()


def test_worker_of_an_erased_session_lets_it_go(stack: Stack, speaker: Speaker) -> None:
    speaker.say()
    assert erase(stack, speaker.session_id, speaker.ready["resume_token"]) == (204, None)

    def outcomes() -> list[str]:
        ended = stack.log("session_ended")
        return [line["outcome"] for line in ended if line["session_id"] == speaker.session_id]

    wait_until(lambda: outcomes() == ["cancelled"], "its worker has stopped")


def test_ended_session_is_erased_with_its_transcript(stack: Stack, speaker: Speaker, watch: Watch) -> None:
    speaker.say()
    speaker.stop()
    assert watch(speaker).rest()[-1]["type"] == "done"
    assert erase(stack, speaker.session_id, speaker.ready["resume_token"]) == (204, None)
    assert watch(speaker).error()["code"] == "session_unknown"
    with Redis.from_url(stack.redis_url) as store:
        assert not store.exists(*keys.of_session(speaker.session_id))


def test_key_erases_its_own_sessions_only(
    keyed_stack: Stack, key_list: KeyList, open_with: Callable[[str], dict[str, str]]
) -> None:
    ready = open_with("anna")
    sid, anna, other = ready["session_id"], key_list.keys["anna"], key_list.keys["small"]
    response, body = request(keyed_stack, "POST", "/v1/realtime/client_secrets", {"X-API-Key": anna})
    assert response.status == 200
    client_token = json.loads(body)["value"]
    assert erase(keyed_stack, sid) == erase(keyed_stack, sid, "vox_wrong") == (401, "invalid_api_key")
    for token in (other, client_token, ready["viewer_token"]):
        assert erase(keyed_stack, sid, token) == (403, "forbidden")
    assert erase(keyed_stack, "0123456789abcdef", anna) == (404, "session_unknown")
    assert erase(keyed_stack, sid, **{"X-API-Key": anna}) == (204, None)
    assert erase(keyed_stack, sid, anna)[0] == 404
    mine = open_with("anna")
    assert erase(keyed_stack, mine["session_id"], mine["resume_token"]) == (204, None)


def test_requests_to_erase_are_counted(keyed_stack: Stack, key_list: KeyList) -> None:
    key = key_list.keys[key_list.unused("erasing")]
    statuses = [erase(keyed_stack, "0123456789abcdef", key)[0] for _ in range(3)]
    assert statuses == [404, 404, 429]


def test_listed_page_may_erase(keyed_stack: Stack) -> None:
    asked = {"Origin": "https://voice.example", "Access-Control-Request-Method": "DELETE"}
    response, _ = request(keyed_stack, "OPTIONS", "/v1/sessions/0123456789abcdef", asked)
    assert (response.status, "DELETE" in response.headers["access-control-allow-methods"]) == (200, True)


def test_cancel_erases_at_once(stack: Stack, speaker: Speaker, watch: Watch) -> None:
    speaker.say()
    viewer = watch(speaker)
    tell(speaker.client, type="cancel")
    assert viewer.rest()[-1]["code"] == "session_expired"
    with Redis.from_url(stack.redis_url) as store:
        sid = speaker.session_id
        assert not store.exists(keys.audio(sid), keys.events(sid), keys.finals(sid))
        assert b"options" not in store.hgetall(keys.session(sid))
