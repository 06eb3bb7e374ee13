"""The client shares no code with the server: what both must agree on is compared here."""

import dataclasses
from typing import Any

import pytest

from frontend.protocols.options import CONFIGURE, ONE_SHOT, START, options_of
from shared.audio import live, pcm
from shared.events import SAMPLE_RATE_HZ
from shared.session_options import Mode
from shared.version import VERSION
from tests.socket_messages import document
from voxtral_client import TranscriptionClient, events, parts, wire
from voxtral_client.options import ConfigureOptions, LiveOptions, RequestOptions
from voxtral_client.version import VERSION as CLIENT_VERSION

MESSAGES: dict[str, Any] = document()["components"]["messages"]
LEFT_OUT = {"type", "session_id", "id", "mode", "timestamp", "revised_seq"}
"""Fields that say what the reader knows (its session, its request, the class of the event), or only viewers get."""


def test_constants_agree() -> None:
    assert wire.SAMPLE_BYTES == pcm.SAMPLE_BYTES
    assert (wire.CONTAINER, wire.SAMPLE_RATE_HZ) == (live.CONTAINER, SAMPLE_RATE_HZ)
    assert CLIENT_VERSION == VERSION
    assert Mode.TRANSCRIBE == "transcribe"  # the client's default


@pytest.mark.parametrize(
    ("options", "message"), [(LiveOptions, START), (ConfigureOptions, CONFIGURE), (RequestOptions, ONE_SHOT)]
)
def test_every_option_of_the_protocol_is_one_of_the_client(options: Any, message: str) -> None:
    fields = options.__required_keys__ | options.__optional_keys__
    assert fields - {"strict", "channels"} == {option.name for option in options_of(message)}


@pytest.mark.parametrize("name", events.EVENTS)
def test_events_have_the_fields_of_the_wire(name: str) -> None:
    first, *others = name.split("_")
    message = MESSAGES[first + "".join(map(str.capitalize, others))]
    properties = set(message["payload"]["properties"]) - LEFT_OUT
    assert {field.name for field in dataclasses.fields(events.EVENTS[name])} >= properties


def test_replies_have_the_fields_of_the_wire() -> None:
    properties = set(MESSAGES["response"]["payload"]["properties"]) - LEFT_OUT
    assert {field.name for field in dataclasses.fields(events.Reply)} >= properties


def test_older_names_of_times_still_work() -> None:
    word = parts.Word("a", 1.0, 2.0)
    done = events.Done(7, "a", 4.0)

    assert (word.start_s, word.end_s, done.duration_s) == (word.start, word.end, done.duration)


async def test_unknown_options_are_errors() -> None:
    client = TranscriptionClient("127.0.0.1:1")
    with pytest.raises(TypeError, match=r"There is no option 'langauge'; allowed: .*language"):
        await client.transcribe(b"", langauge="en")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="There is no option 'strict'"):
        async with client.live(strict=True):  # type: ignore[call-arg]
            raise AssertionError
