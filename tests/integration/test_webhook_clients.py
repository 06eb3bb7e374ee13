"""Webhooks as clients and operators ask for them: sessions, uploads, keys, secrets, and the receiver of the docs."""

import asyncio
import contextlib
import json
import os
import secrets
import sys
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from standardwebhooks.webhooks import Webhook as Judge

from compose import healthcheck
from tests import command
from tests.documentation import blocks
from tests.integration.api_clients import multipart, request, silent_wav
from tests.integration.native_clients import (
    Client,
    WebSocketClient,
    ask,
    base64_of,
    open_client,
    tell,
    token_of,
    tone,
    until,
)
from tests.integration.workers import until as becomes
from tests.keys import KeyList
from tests.limits import limit_s
from tests.receivers import Receiver, receiving
from tests.stack import PROJECT, Stack, free_ports, listens, serving, wait_until
from tests.telephony import LOUD, TWILIO_AUTH_TOKEN, streaming
from tests.telephony import tell as telephone
from tests.unit.frontend.protocols.telephony.messages import CONNECTED, STOP, start, twilio_media

UPLOAD = "/v1/audio/transcriptions"


@pytest.fixture(scope="module")
def port() -> int:
    """Of the receiver that the list of keys names."""
    return free_ports(1)[0]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory, port: int) -> KeyList:
    keys = KeyList(tmp_path_factory.mktemp("keys") / "keys.yaml")
    keys.add("anna")
    keys.add("bob", webhook=f"http://127.0.0.1:{port}/bob", webhook_events="'final, done'")
    keys.write()
    return keys


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, keys: KeyList) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("webhook_clients")
    secret = folder / "secret"
    stack = Stack(
        folder,
        server={"protocols": ["openai", "mistral", "deepgram", "twilio"]},
        telephony={"twilio_auth_token": TWILIO_AUTH_TOKEN},
        access={"keys_file": str(keys.path), "protocol_keys": {"twilio": "anna"}},
        webhooks={"enabled": True, "secret_file": str(secret), "first_retry_s": 0.1},
        outgoing={"allow": ["127.0.0.1"]},
    )
    secret.write_text(command.run(stack, "webhooks", "new-secret").stdout)
    with serving(stack) as stack:
        yield stack


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


def client_of(service: Stack, key: str) -> Client:
    client = open_client(service, "websocket")
    assert ask(client, type="auth", key=key)["type"] == "authorized"
    return client


def transcribed(client: Client, **options: Any) -> list[dict[str, Any]]:
    """The messages of a whole session."""
    tell(client, type="start", **options)
    ready = until(client, "ready")
    client.send_audio(tone(0.5))
    tell(client, type="stop")
    try:
        return [*ready, *until(client, "done")]
    finally:
        client.close()


def upload(service: Stack, key: str, **fields: str) -> tuple[int, dict[str, Any]]:
    headers, body = multipart(silent_wav(0.5), model="echo", **fields)
    response, answer = request(service, "POST", UPLOAD, headers | {"authorization": f"Bearer {key}"}, body)
    return response.status, json.loads(answer)


async def received(receiver: Receiver, *types: str) -> None:
    """Wait until exactly these types have arrived."""

    async def arrived() -> bool:
        return sorted(body["type"] for body in receiver.bodies) == sorted(types)

    await becomes(arrived)


def secret_of(service: Stack, name: str = "") -> str:
    done = command.run(service, "webhooks", "secret", *filter(None, [name]))
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


async def test_live_session_names_its_webhook(service: Stack, keys: KeyList, receiver: Receiver) -> None:
    client = client_of(service, keys.keys["anna"])
    events = await asyncio.to_thread(transcribed, client, webhook=receiver.url("/live"), webhook_events=["done"])
    await received(receiver, "session.done")
    (one,) = receiver.received
    assert Judge(secret_of(service, "anna")).verify(one.body, one.headers)["data"] == events[-1]


async def test_webhook_of_a_key_gets_the_sessions_of_every_api(service: Stack, keys: KeyList, port: int) -> None:
    async with receiving(port=port) as receiver:
        await asyncio.to_thread(transcribed, client_of(service, keys.keys["bob"]))
        status, answer = await asyncio.to_thread(upload, service, keys.keys["bob"])
        assert status == 200
        await received(receiver, "session.final", "session.done", "session.final", "session.done")
    judge = Judge(secret_of(service, "bob"))
    for one in receiver.received:
        judge.verify(one.body, one.headers)
        assert one.path == "/bob"
    assert answer["text"] in [body["data"].get("text") for body in receiver.bodies]


@pytest.mark.parametrize("api", ["openai", "mistral"])
async def test_upload_names_its_webhook(service: Stack, keys: KeyList, receiver: Receiver, api: str) -> None:
    fields = {"context_bias": "Ada"} if api == "mistral" else {}
    wanted = {"webhook": receiver.url("/upload"), "webhook_events[]": "done"}
    status, answer = await asyncio.to_thread(upload, service, keys.keys["anna"], **fields, **wanted)
    assert status == 200
    await received(receiver, "session.done")
    assert receiver.bodies[0]["data"]["text"] == answer["text"]


async def test_recording_in_deepgrams_api_names_its_webhook(service: Stack, keys: KeyList, receiver: Receiver) -> None:
    def listened(url: str) -> tuple[int, dict[str, Any]]:
        query = urllib.parse.urlencode({"webhook": url, "webhook_events": "done"})
        headers = {"authorization": f"Token {keys.keys['anna']}", "content-type": "audio/wav"}
        response, answer = request(service, "POST", f"/v1/listen?{query}", headers, silent_wav(0.5))
        return response.status, json.loads(answer)

    status, _ = await asyncio.to_thread(listened, receiver.url())
    assert status == 200
    await received(receiver, "session.done")
    status, error = await asyncio.to_thread(listened, "https://10.0.0.1/")
    assert status == 400
    assert "webhook is '…'; allowed: https URLs of public hosts" in error["err_msg"]


async def test_recording_in_one_message_names_its_webhook(service: Stack, keys: KeyList, receiver: Receiver) -> None:
    client = client_of(service, keys.keys["anna"])
    message = {"type": "audio", "audio_data": base64_of(tone(0.5)), "webhook": receiver.url()}
    answer = await asyncio.to_thread(lambda: ask(client, **message))
    client.close()
    assert answer["type"] == "response"
    await received(receiver, "session.final", "session.done")


async def test_live_session_of_openai_names_its_webhook(service: Stack, keys: KeyList, receiver: Receiver) -> None:
    """It ends with its connection, and the webhook gets its end."""

    def session(webhook: str) -> dict[str, Any]:
        transcription = {"model": "echo", "webhook": webhook}
        audio = {"input": {"transcription": transcription, "turn_detection": None}}
        return {"type": "session.update", "session": {"type": "transcription", "audio": audio}}

    def spoken(webhook: str) -> dict[str, Any]:
        """The last message: the transcript, or an error."""
        url = f"{service.web_url.replace('http', 'ws')}/v1/realtime?intent=transcription"
        headers = {"Authorization": f"Bearer {keys.keys['anna']}"}
        with contextlib.closing(WebSocketClient(url, additional_headers=headers)) as client:
            tell(client, **session(webhook))
            tell(client, type="input_audio_buffer.append", audio=base64_of(tone(0.5)))
            tell(client, type="input_audio_buffer.commit")
            while (message := client.receive()) is not None:
                if message["type"].endswith((".completed", "error")):
                    return message
        raise AssertionError("the connection ended")

    completed = await asyncio.to_thread(spoken, receiver.url())
    await received(receiver, "session.final", "session.done")
    assert completed["transcript"] in [body["data"]["text"] for body in receiver.bodies]
    error = (await asyncio.to_thread(spoken, "https://10.0.0.1/"))["error"]
    assert error["param"] == "session.audio.input.transcription.webhook"


async def test_call_names_its_webhook(service: Stack, receiver: Receiver) -> None:
    """In a custom parameter of its stream. It is transcribed to its end although nobody reads its text here."""

    def call() -> None:
        parameters = {"webhook": receiver.url("/call"), "webhook_events": "done"}
        with streaming(service.web_url, "twilio") as client:
            telephone(client, CONNECTED, start(f"MZ{secrets.token_hex(16)}", customParameters=parameters))
            telephone(client, *(twilio_media(LOUD, "inbound", 20 * number) for number in range(50)), STOP)
            assert list(client) == []

    await asyncio.to_thread(call)
    await received(receiver, "session.done")
    assert receiver.bodies[0]["data"]["duration"] >= 1


def test_refused_webhook_has_the_error_of_each_api(service: Stack, keys: KeyList) -> None:
    reason = "webhook is '…'; allowed: https URLs of public hosts: "
    client = client_of(service, keys.keys["anna"])
    for url in ("http://receiver.example/?s3cret", "https://10.0.0.1/?s3cret"):
        error = ask(client, type="start", webhook=url)
        assert (error["type"], error["code"]) == ("error", "invalid_field")
        assert error["message"].startswith(reason)
    for value in (7, "receiver.example", "https://a b/", "https://receiver.example/" + "a" * 2048):
        error = ask(client, type="start", webhook=value)
        assert (error["code"], "webhook is " in error["message"]) == ("invalid_field", True)
    error = ask(client, type="start", webhook="https://receiver.example", webhook_events=["partial"])
    assert (error["code"], "allowed: a list of any of final, done, error" in error["message"]) == (
        "invalid_field",
        True,
    )
    assert ask(client, type="ping")["type"] == "pong", "the connection stays open"
    client.close()
    status, answer = upload(service, keys.keys["anna"], webhook="https://127.0.0.2/?s3cret")
    assert (status, answer["error"]["param"]) == (400, "webhook")
    assert answer["error"]["message"].startswith(reason)
    status, answer = upload(service, keys.keys["anna"], webhook="https://127.0.0.2/?s3cret", context_bias="Ada")
    assert (status, answer["object"], answer["message"].startswith(reason)) == (400, "error", True)
    assert "s3cret" not in service.log_text()


def test_session_keeps_its_webhook(service: Stack, keys: KeyList) -> None:
    client = client_of(service, keys.keys["anna"])
    ready = ask(client, type="start")
    tell(client, type="configure", webhook="https://receiver.example/")
    error = until(client, "error")[-1]
    assert error["message"].endswith("allowed: in start only: a session keeps it to its end.")
    tell(client, type="cancel")
    client.close()
    assert token_of(ready)


def test_status_metrics_and_store_tell_of_webhooks(service: Stack) -> None:
    (sender,) = service.status()["webhooks"]["senders"]
    assert sender["pid"] == service.processes["webhooks"].pid
    assert healthcheck.fault(healthcheck.WEBHOOKS, service.settings) is None
    with Redis.from_url(service.redis_url) as store:
        assert not list(store.scan_iter("voxtral:*:webhook")), "all of it was delivered, or nothing was to be"

    def metrics() -> str:
        with urllib.request.urlopen(f"{service.health_url}/metrics") as answer:
            return str(answer.read().decode())

    wait_until(lambda: 'voxtral_webhook_deliveries_total{result="delivered"}' in metrics(), "deliveries are counted")
    text = metrics()
    assert "voxtral_webhook_senders 1.0" in text
    assert "voxtral_webhook_delay_seconds_count" in text
    assert f'process_resident_memory_bytes{{kind="webhooks",process="{sender["id"]}"}}' in text


async def test_receiver_of_the_documentation_verifies_events(service: Stack, keys: KeyList, tmp_path: Path) -> None:
    (text,) = [block.text for block in blocks(PROJECT / "docs/webhooks.md") if block.language == "python"]
    (port,) = free_ports(1)
    program = tmp_path / "receiver.py"
    program.write_text(text.replace("9000", str(port)))
    environment = os.environ | {"WEBHOOK_SECRET": secret_of(service, "anna")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(program), env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        assert process.stdout is not None
        await asyncio.to_thread(wait_until, lambda: listens(port), "the receiver listens")
        client = client_of(service, keys.keys["anna"])
        events = await asyncio.to_thread(transcribed, client, webhook=f"http://127.0.0.1:{port}/hook")
        sent = [event for event in events if event["type"] in ("final", "done")]
        async with asyncio.timeout(limit_s(20)):
            printed = [(await process.stdout.readline()).decode().rstrip() for _ in sent]
        assert sorted(printed) == sorted(f"session.{one['type']} {one['text']}" for one in sent)
    finally:
        process.kill()
        await process.wait()
