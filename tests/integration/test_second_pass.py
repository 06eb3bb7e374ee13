"""The second pass in a whole service: the engine `echo`, and a tiny random Whisper as its second model."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import orjson
import pytest
from openai import OpenAI
from redis import Redis

from shared.bus import keys
from tests.command import run
from tests.forking import captured
from tests.integration.api_clients import post_form, silent_wav
from tests.integration.native_clients import ask, base64_of, open_client, tell, tone, until
from tests.integration.test_asyncapi import schemas
from tests.integration.viewers import Read
from tests.limits import limit_s
from tests.stack import Stack, serving, wait_until
from tests.tiny.whisper import write_whisper
from voxtral_client import Done, Final, Revised, TranscriptionClient

ECHOED = "1 seconds"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("second")
    model = {"second": "whisper", "second_path": str(write_whisper(folder / "tiny"))}
    with serving(Stack(folder, model=model)) as stack:
        yield stack


def spoken(stack: Stack, **options: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The `ready` of a session of two segments, and its other events."""
    client = open_client(stack, "websocket")
    ready = ask(client, type="start", language="en", partials=False, **options)
    client.send_audio(tone(1.0))
    tell(client, type="commit")
    client.send_audio(tone(1.0))
    tell(client, type="stop")
    events = until(client, "done")
    client.close()
    return ready, events


def test_finals_are_revised_everywhere(stack: Stack, read: Read) -> None:
    ready, events = spoken(stack, revise=True)
    assert [event["seq"] for event in events] == list(range(2, 7))
    assert [event["type"] for event in events if event["type"] != "revised"] == ["final", "final", "done"]
    revised = [event for event in events if event["type"] == "revised"]
    assert [event["segment"] for event in revised] == [0, 1]
    for event in revised:
        schemas("native", "send")["revised"].validate(event)
    texts = [event["text"] for event in revised]
    assert ECHOED not in texts
    assert events[-1]["text"] == " ".join(texts)
    path = f"/v1/sessions/{ready['session_id']}"
    lines = read(f"{path}/transcript.txt", ready["viewer_token"]).response.read().decode()
    assert lines == "".join(f"{text}\n" for text in texts)
    document = orjson.loads(read(f"{path}/transcript.json", ready["viewer_token"]).response.read())
    assert [segment["words"] for segment in document["segments"]] == [event["words"] for event in revised]


def test_viewers_get_the_texts_that_they_lack(stack: Stack, read: Read) -> None:
    ready, events = spoken(stack, revise=True)
    seqs = {(event["type"], event.get("segment")): event["seq"] for event in events}

    def seen(last_event_id: int | None) -> list[tuple[str, int | None, int]]:
        viewer = read(f"/v1/sessions/{ready['session_id']}/events", ready["viewer_token"], last_event_id)
        return [(event["type"], event.get("segment"), event["seq"]) for event in viewer.rest()]

    whole = [(kind, segment, seqs[kind, segment]) for kind, segment in (("final", 0), ("final", 1), ("done", None))]
    assert seen(None) == whole, "finals have their latest text already"
    for last in (seqs["final", 0], seqs["final", 1], seqs["revised", 0], seqs["revised", 1]):
        rest = [("final", 1, seqs["final", 1])] if last < seqs["final", 1] else []
        missed = [("revised", segment, seqs["revised", segment]) for segment in (0, 1)]
        rest += [one for one in missed if last < one[2] and not (one[1] == 1 and rest)]
        assert seen(last) == sorted(rest, key=lambda one: one[2]) + whole[-1:]


def test_list_of_finals_and_log_agree(stack: Stack) -> None:
    ready, events = spoken(stack, revise=True)
    with Redis.from_url(stack.redis_url) as redis:
        kept = [orjson.loads(final) for final in redis.lrange(keys.finals(ready["session_id"]), 0, -1)]
        logged = [orjson.loads(fields[b"e"]) for _, fields in redis.xrange(keys.events(ready["session_id"]))]
    assert logged[1:] == events
    finals = [event for event in events if event["type"] == "final"]
    revised = [event for event in events if event["type"] == "revised"]
    for final, later, entry in zip(finals, revised, kept, strict=True):
        assert entry | {"text": 0, "words": 0} == final | {"text": 0, "words": 0, "revised_seq": later["seq"]} | {
            name: later[name] for name in ("confidence", "avg_logprob", "no_speech_prob")
        }
        assert entry["text"] == later["text"]


def test_redaction_reaches_revised_text(stack: Stack) -> None:
    _, plain = spoken(stack, revise=True)
    words = sorted({word for event in plain if event["type"] == "revised" for word in event["text"].split()})
    ready, events = spoken(stack, revise=True, redact=["numbers"], redact_terms=words)
    assert "[" in events[-1]["text"]
    with Redis.from_url(stack.redis_url) as redis:
        kept = b"".join(redis.lrange(keys.finals(ready["session_id"]), 0, -1))
    assert not [word for word in words if f'"{word}"'.encode() in kept]


def test_recordings_have_revised_text(stack: Stack, openai_client: OpenAI) -> None:
    recording = silent_wav(1.0)
    status, first = post_form(stack, "/v1/audio/transcriptions", recording)
    assert (status, first["text"]) == (200, ECHOED)
    reply = openai_client.audio.transcriptions.create(
        model="auto", file=("a.wav", recording), extra_body={"revise": True}
    )
    assert reply.text != ECHOED
    client = open_client(stack, "tcp")
    answer = ask(client, type="audio", audio_data=base64_of(recording), revise=True)
    client.close()
    assert answer["text"] == reply.text


def test_revisions_are_counted(stack: Stack) -> None:
    def counted() -> float:
        with urlopen(f"{stack.health_url}/metrics", timeout=limit_s(5)) as answer:
            lines = answer.read().decode().splitlines()
        of_model = [line for line in lines if line.startswith('voxtral_revisions_total{model="tiny"')]
        return sum(float(line.rpartition(" ")[2]) for line in of_model)

    before = counted()
    spoken(stack, revise=True)
    wait_until(lambda: counted() >= before + 2, "both finals are counted")
    assert stack.report()["second_model"] == "tiny"
    wait_until(lambda: stack.report()["revisions_pending"] == 0, "the next report has none that wait")


def test_session_that_does_not_ask_is_not_revised(stack: Stack) -> None:
    _, events = spoken(stack)
    assert [event["type"] for event in events] == ["final", "final", "done"]


def test_command_line_prints_the_revised_text(stack: Stack, tmp_path: Path) -> None:
    recording = tmp_path / "a.wav"
    recording.write_bytes(silent_wav(1.0))
    first = run(stack, "transcribe", "--no-revise", recording)
    revised = run(stack, "transcribe", "--revise", recording)
    assert (first.returncode, first.stdout) == (0, f"{ECHOED}\n")
    assert (revised.returncode, revised.stdout.count("\n")) == (0, 1)
    assert ECHOED not in revised.stdout


async def test_python_client_puts_revised_texts_into_its_finals(stack: Stack) -> None:
    finals: list[Final] = []
    async with TranscriptionClient(stack.ws_url) as client, client.live(revise=True, language="en") as session:
        await session.send(tone(1.0))
        await session.stop()
        async for event in session:
            match event:
                case Final():
                    finals.append(event)
                case Revised():
                    event.put_into(finals)
                case Done(text=text):
                    whole = text
    assert [final.text for final in finals] == [whole]
    assert whole != ECHOED


def test_separate_channels_are_revised_each(stack: Stack) -> None:
    client = open_client(stack, "websocket")
    ready = ask(client, type="start", language="en", channels=2, channel_mode="separate", revise=True)
    assert ready["type"] == "ready", ready
    client.send_audio(np.repeat(np.frombuffer(tone(1.0), "<i2"), 2).tobytes())
    tell(client, type="stop")
    events = until(client, "done")
    client.close()
    revised = {event["channel"]: event for event in events if event["type"] == "revised"}
    assert sorted(revised) == [0, 1]
    finals = {event["channel"]: event["segment"] for event in events if event["type"] == "final"}
    assert {channel: event["segment"] for channel, event in revised.items()} == finals
    assert events[-1]["text"] == f"{revised[0]['text']}\n{revised[1]['text']}"
    schemas("native", "send")["revised"].validate(revised[0])


def test_sessions_with_speakers_are_revised(stack: Stack) -> None:
    _, events = spoken(stack, revise=True, diarize=True)
    assert [event["segment"] for event in events if event["type"] == "revised"] == [0, 1]
    texts = [event["text"] for event in events if event["type"] == "revised"]
    assert events[-1]["text"] == " ".join(texts)
    assert ECHOED not in texts


@pytest.mark.parametrize(
    ("second", "ok", "detail"),
    [
        ({"SECOND": "whisper", "SECOND_PATH": "tiny"}, True, "tiny, loaded in "),
        (
            {"SECOND": "whisper", "SECOND_PATH": "/nowhere"},
            False,
            "Setting model.second_path is '/nowhere', which is not",
        ),
        (
            {"SECOND": "whisper-small"},
            None,
            "Setting model.second is 'whisper-small': Systran/faster-whisper-small is not ",
        ),
    ],
)
def test_doctor_checks_the_second_model(
    stack: Stack, tmp_path: Path, second: dict[str, str], ok: bool | None, detail: str
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("{}")
    variables = {f"VOXTRAL_MODEL__{name}": value for name, value in second.items()} | {"HF_HOME": str(tmp_path)}
    variables |= {"VOXTRAL_MODEL__NAME": "echo", "VOXTRAL_CONFIG": str(config), "HF_HUB_OFFLINE": "0"}
    done = captured("worker.check", folder=stack.folder, env=stack.env | variables)
    first, model = (orjson.loads(line) for line in done.stdout.splitlines())
    assert (first["check"], first["ok"]) == ("Second model", ok)
    assert first["detail"].startswith(detail)
    assert (model["check"], model["ok"]) == ("Model", True)
    assert done.returncode == (ok is False)
