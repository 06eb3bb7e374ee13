"""Live captions: which clients may view a session, and that viewers may do nothing else."""

import json
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect as connect_websocket

from tests.integration.api_clients import request
from tests.integration.native_clients import WebSocketClient, ask, base64_of, tell, tone
from tests.integration.viewers import Read, Speaker, next_finals, socket_url
from tests.keys import KeyList
from tests.limits import limit_s
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
            viewer.recv(timeout=limit_s(5))
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1008, "Viewers cannot send messages.")
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


APPEND = {"type": "input_audio_buffer.append", "audio": base64_of(tone(1))}


@pytest.mark.parametrize(
    ("address", "messages"),
    [
        (
            "audio/transcriptions/realtime?model=auto",
            [APPEND | {"type": "input_audio.append"}, {"type": "input_audio.end"}],
        ),
        ("realtime?intent=transcription", [APPEND, {"type": "input_audio_buffer.commit"}]),
        (
            "realtime?dialect=vllm",
            [{"type": "session.update", "model": "echo"}, APPEND, {"type": "input_audio_buffer.commit", "final": True}],
        ),
    ],
    ids=["mistral", "openai", "vllm"],
)
def test_sessions_of_other_dialects_can_be_followed(
    stack: Stack, read: Read, address: str, messages: list[dict[str, Any]]
) -> None:
    url = f"{stack.web_url.replace('http', 'ws', 1)}/v1/{address}"
    with pytest.raises(InvalidStatus) as refused:
        connect_websocket(f"{url}&viewer_token=yes")
    assert refused.value.response.status_code == 400
    with connect_websocket(f"{url}&viewer_token=true") as speaker:
        for message in messages:
            speaker.send(json.dumps(message))
        told = json.loads(speaker.recv(5))
        while told["type"] != "voxtral.session":
            told = json.loads(speaker.recv(5))
        viewer = read(f"/v1/sessions/{told['session_id']}/events", told["viewer_token"])
        assert viewer.status == 200
        [final] = next_finals(viewer, 1)
        assert final["text"].endswith(" seconds")
    assert viewer.rest()[-1]["type"] == "done"


@pytest.mark.parametrize("address", ["realtime?intent=transcription", "realtime?dialect=vllm"])
def test_what_is_said_until_a_client_closes_is_kept_for_those_who_read(stack: Stack, read: Read, address: str) -> None:
    """Closing is the only end that these protocols know of a session, unless the client commits."""
    url = f"{stack.web_url.replace('http', 'ws', 1)}/v1/{address}&viewer_token=true"
    with connect_websocket(url) as speaker:
        if "vllm" in address:
            speaker.send(json.dumps({"type": "session.update", "model": "echo"}))
            speaker.send(json.dumps({"type": "input_audio_buffer.commit"}))
        speaker.send(json.dumps(APPEND))
        while (told := json.loads(speaker.recv(5)))["type"] != "voxtral.session":
            pass
    viewer = read(f"/v1/sessions/{told['session_id']}/events", told["viewer_token"])
    *_, final, done = viewer.rest()
    assert (final["type"], done["type"]) == ("final", "done")
    assert final["end"] > 0.6  # OpenAI's default is 24 kHz
    transcript = read(f"/v1/sessions/{told['session_id']}/transcript.json", told["viewer_token"])
    document = json.loads(transcript.response.read())
    assert (document["complete"], document["text"]) == (True, final["text"])


def test_who_does_not_ask_is_told_in_its_dialect_alone(stack: Stack) -> None:
    with connect_websocket(f"{stack.web_url.replace('http', 'ws', 1)}/v1/audio/transcriptions/realtime") as speaker:
        for message in (APPEND | {"type": "input_audio.append"}, {"type": "input_audio.end"}):
            speaker.send(json.dumps(message))
        types = []
        while "transcription.done" not in types:
            types.append(json.loads(speaker.recv(5))["type"])
    assert {kind.partition(".")[0] for kind in types} == {"session", "transcription"}


def test_tokens_are_not_logged(stack: Stack, speaker: Speaker) -> None:
    with connect_websocket(socket_url(stack, speaker)) as viewer:
        speaker.stop()
        list(viewer)
    with pytest.raises(InvalidStatus), connect_websocket(socket_url(stack, speaker, "&last_event_id=x")):
        pass
    assert speaker.token not in stack.log_text() + stack.output("web")
