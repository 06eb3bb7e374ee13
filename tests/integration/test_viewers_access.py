"""Live captions: who may read along, and that nobody may do more."""

import json

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect as connect_websocket

from tests.integration.api_clients import request
from tests.integration.native_clients import WebSocketClient, ask, tell
from tests.integration.viewers import Read, Speaker, socket_url
from tests.keys import KeyList
from tests.stack import Stack


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


def test_a_page_of_another_origin_has_what_its_token_gives_it_and_no_more(
    stack: Stack, keyed_stack: Stack, key_list: KeyList, speaker: Speaker
) -> None:
    """Browsers send the token for no page that does not have it, so the token counts and the origin does not."""
    done = speaker.stop()
    foreign = {"Origin": "https://evil.example"}
    path = f"{speaker.path}/events?token={speaker.token}"
    response, body = request(stack, "GET", path, foreign)
    assert (response.status, f'"seq":{done["seq"]}'.encode() in body) == (200, True)
    assert "access-control-allow-origin" not in response.headers  # so that its scripts get nothing of it
    assert request(stack, "GET", f"{speaker.path}/events", foreign)[0].status == 401
    with connect_websocket(socket_url(stack, speaker), origin="https://evil.example") as viewer:
        assert json.loads([*viewer][-1]) == done
    with pytest.raises(InvalidStatus) as refused:
        connect_websocket(socket_url(stack, speaker).partition("?")[0], origin="https://evil.example")
    assert refused.value.response.status_code == 401
    listed = {"Origin": "https://voice.example", "Authorization": f"Bearer {key_list.keys['anna']}"}
    response, _ = request(keyed_stack, "GET", f"{speaker.path}/events", listed)
    assert response.status == 404  # a key is no viewer token
    assert response.headers["access-control-allow-origin"] == "https://voice.example"


def test_tokens_are_not_logged(stack: Stack, speaker: Speaker) -> None:
    with connect_websocket(socket_url(stack, speaker)) as viewer:
        speaker.stop()
        list(viewer)
    with pytest.raises(InvalidStatus), connect_websocket(socket_url(stack, speaker, "&last_event_id=x")):
        pass
    log = (stack.folder / "logs" / "voxtral_streaming.log").read_text()
    assert speaker.token not in log + stack.output("web")
