"""Keys and client tokens at the sockets of other services' dialects."""

import json

import pytest
from openai import AsyncOpenAI
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.integration.native_clients import base64_of, tone
from tests.integration.test_access import WRONG, handshake, post
from tests.keys import KeyList
from tests.stack import Stack, wait_until


async def test_openai_client_begins_with_the_session_of_its_token(keyed_stack: Stack, key_list: KeyList) -> None:
    base = keyed_stack.web_url + "/v1"
    turns = {"type": "transcription", "audio": {"input": {"turn_detection": None, "transcription": {"model": "echo"}}}}
    async with AsyncOpenAI(api_key=key_list.keys["anna"], base_url=base) as owner:
        secret = await owner.realtime.client_secrets.create(
            expires_after={"anchor": "created_at", "seconds": 60}, session=turns
        )
    assert secret.value.startswith("ek_")
    async with (
        AsyncOpenAI(api_key=secret.value, base_url=base) as page,
        page.realtime.connect(extra_query={"intent": "transcription"}) as connection,
    ):
        created = await connection.recv()
        assert created.type == "session.created"
        assert created.session.audio.input.turn_detection is None
        assert created.session.audio.input.transcription.model == "echo"
    for path in ("realtime?intent=transcription", "audio/transcriptions/realtime"):
        with pytest.raises(InvalidStatus) as refused:
            connect(f"{base.replace('http', 'ws', 1)}/{path}", **handshake("Authorization", WRONG))
        assert refused.value.response.status_code == 401
        assert json.loads(refused.value.response.body)["error"]["code"] == "invalid_api_key"


async def test_key_revoked_ends_a_dialect_session(keyed_stack: Stack, key_list: KeyList) -> None:
    key = key_list.add("leaving-a-dialect")
    key_list.write()
    url = f"{keyed_stack.web_url.replace('http', 'ws', 1)}/v1/audio/transcriptions/realtime"
    options = handshake("Authorization", key)

    def lets_in() -> bool:
        return post(keyed_stack, {}, key)[0].status == 200

    wait_until(lets_in, "the new key is known")
    with connect(url, **options) as client:
        assert json.loads(client.recv())["type"] == "session.created"
        client.send(json.dumps({"type": "input_audio.append", "audio": base64_of(tone(1))}))
        key_list.remove("leaving-a-dialect")
        key_list.write()
        messages = [json.loads(message) for message in client]
    assert "has been revoked" in json.dumps(next(message for message in messages if message["type"] == "error"))
