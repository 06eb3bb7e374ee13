"""Options of channels in each dialect: what is accepted, what is refused and why, and what clients receive."""

import base64
from typing import Any

import pytest

from frontend.api.transcription_request import mistral_order, openai_order
from frontend.protocols.deltas import DialogueDeltas
from frontend.protocols.dialect import OneShot, Open, Resume
from frontend.protocols.mistral.session import MistralSession
from frontend.protocols.native.messages import parse_message
from frontend.protocols.openai.errors import RefusedError
from frontend.protocols.openai.session import DEFAULT, updated
from shared.audio.pcm import AudioFormat
from shared.config.sections import AudioSettings
from shared.errors import InvalidFieldError, MissingFieldError
from tests.unit.frontend.protocols.openai.openai_wire import Wire, connected
from tests.unit.frontend.protocols.test_wording import form

SEPARATE = {"channel_mode": "separate"}
SECOND = base64.b64encode(bytes(2 * 24_000 * 2)).decode()


def parsed(kind: str, **fields: Any) -> Any:
    return parse_message({"type": kind, **fields}, AudioSettings())


def test_native_start_has_a_track_for_each_channel() -> None:
    started = parsed("start", channels=4, **SEPARATE)
    assert isinstance(started, Open)
    assert started.options.channels == 4
    assert started.audio_format == AudioFormat(channels=4, separate=True)
    assert parsed("start", **SEPARATE).options.channels == 1
    assert parsed("start", encoding="container", channels=2, **SEPARATE).options.channels == 2


def test_channels_are_mixed_by_default() -> None:
    for fields in ({}, {"channel_mode": "mix"}, {"channel_mode": None}):
        started = parsed("start", channels=2, **fields)
        assert (started.options.channels, started.audio_format) == (None, AudioFormat(channels=2))
        assert "channels" not in started.options.to_wire()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"channels": 3}, "channels is 3; allowed: 1, 2; also 3, 4 if they are transcribed separately."),
        ({"channels": 5, **SEPARATE}, "channels is 5; allowed: 1, 2, 3, 4."),
        ({"channels": 0, **SEPARATE}, "channels is 0; allowed: 1, 2, 3, 4."),
        ({"channel_mode": "left"}, "channel_mode is 'left'; allowed: mix, separate."),
    ],
)
def test_native_messages_say_which_channels_are_allowed(fields: dict[str, Any], message: str) -> None:
    for kind, more in (("start", {}), ("audio", {"audio_data": ""})):
        with pytest.raises(InvalidFieldError) as refused:
            parsed(kind, **fields, **more)
        assert str(refused.value) == message


def test_container_needs_the_number_of_its_channels() -> None:
    with pytest.raises(MissingFieldError, match="channels is missing; channel_mode separate requires it"):
        parsed("start", encoding="container", **SEPARATE)


def test_session_keeps_its_tracks() -> None:
    with pytest.raises(InvalidFieldError, match="channel_mode is '…'; allowed: in start only"):
        parsed("configure", channel_mode="mix")
    resumed = parsed("resume", session_id="s1", resume_token="t", seq=3, channels=4)
    assert isinstance(resumed, Resume)
    assert resumed.audio_format == AudioFormat(channels=4, separate=True)


@pytest.mark.parametrize(("fields", "most", "raw"), [({}, 4, 1), ({"channels": 2}, 2, 2)])
def test_native_recording_has_at_most_the_named_channels(fields: dict[str, Any], most: int, raw: int) -> None:
    request = parsed("audio", audio_data="", **SEPARATE, **fields)
    assert isinstance(request, OneShot)
    assert (request.options.channels, request.channels) == (most, raw)


@pytest.mark.parametrize(("fields", "channels"), [({}, None), (SEPARATE, 4), (SEPARATE | {"channels": "2"}, 2)])
def test_forms_of_both_apis_have_the_options(fields: dict[str, str], channels: int | None) -> None:
    assert openai_order(form(*fields.items()), "transcribe").options.channels == channels
    assert mistral_order(form(*fields.items())).options.channels == channels


@pytest.mark.parametrize("fields", [{"channels": "2"}, {"channels": "2", "channel_mode": "mix"}])
def test_channels_of_a_form_mean_nothing_if_they_are_mixed(fields: dict[str, str]) -> None:
    with pytest.raises(InvalidFieldError, match="channels is 2; allowed: nothing unless channel_mode is separate"):
        openai_order(form(*fields.items()), "transcribe")


def transcription(**fields: Any) -> dict[str, Any]:
    return {"type": "transcription", "audio": {"input": {"transcription": fields}}}


def test_openai_session_has_interleaved_channels() -> None:
    config = updated(DEFAULT, transcription(**SEPARATE))
    assert config.options(None).channels == 2
    assert config.audio_format == AudioFormat("pcm_s16le", 24_000, 2, separate=True)
    assert config.to_wire()["audio"]["input"]["transcription"]["channel_mode"] == "separate"
    assert updated(config, transcription(channel_mode=None)).audio_format.channels == 1
    with pytest.raises(RefusedError, match="channel_mode is separate"):
        updated(DEFAULT, transcription(channels=2))
    with pytest.raises(RefusedError, match="1 to 4"):
        updated(DEFAULT, transcription(channels=5, **SEPARATE))


def channels_of(events: list[dict[str, Any]]) -> list[tuple[str, Any]]:
    return [(event["type"].rpartition(".")[2], event.get("channel")) for event in events]


def final(channel: int, text: str) -> dict[str, Any]:
    return {"channel": channel, "segment": channel, "text": text, "start": 0.0, "end": 1.0}


def openai(turn_detection: dict[str, Any] | None) -> Wire:
    """A connection with two channels, whose session is open."""
    wire = connected(transcription=SEPARATE, turn_detection=turn_detection)
    wire.tell(type="input_audio_buffer.append", audio=SECOND)
    (opened,) = [action for action in wire.actions if isinstance(action, Open)]
    assert opened.audio_format == AudioFormat("pcm_s16le", 24_000, 2, separate=True)
    return wire


def test_openai_items_belong_to_channels() -> None:
    wire = openai({"type": "server_vad"})
    committed = {"committed": {"text": "Hel"}}
    assert channels_of(wire.say(type="speech_started", channel=1, start=0.0)) == [("speech_started", 1)]
    assert channels_of(wire.say(type="partial", **final(1, "Hello") | committed)) == [("delta", 1)]
    assert channels_of(wire.say(type="partial", **final(0, "Help") | committed))[-1] == ("delta", 0)
    for channel, text in ((1, "Hello."), (0, "Help!")):
        *_, completed = wire.say(type="final", **final(channel, text))
        assert (completed["channel"], completed["transcript"]) == (channel, text)


def test_openai_commit_makes_an_item_of_each_channel() -> None:
    wire = openai(None)
    committed = [event for event in wire.tell(type="input_audio_buffer.commit") if event["type"].endswith("committed")]
    assert [event["channel"] for event in committed] == [0, 1]
    assert committed[1]["previous_item_id"] == committed[0]["item_id"]
    wire.say(type="final", **final(1, "Hello."))
    completed = wire.say(type="committed", end=1.0)
    assert [(event["channel"], event["transcript"]) for event in completed] == [(0, ""), (1, "Hello.")]


def test_mistral_session_has_interleaved_channels() -> None:
    session = MistralSession("r", "echo").updated({"channel_mode": "separate", "channels": 3})
    assert session.options.channels == 3
    assert session.audio_format == AudioFormat(channels=3, separate=True)
    assert (session.to_wire()["channel_mode"], session.to_wire()["channels"]) == ("separate", 3)
    with pytest.raises(InvalidFieldError, match="channel_mode is separate"):
        session.updated({"channel_mode": None})
    assert "channels" not in MistralSession("r", "echo").to_wire()


def test_deltas_of_channels_are_whole_finals_in_turns() -> None:
    deltas = DialogueDeltas()
    assert deltas.hear({"type": "partial"} | final(0, "Hel") | {"committed": {"text": "Hel"}}) == ""
    heard = [deltas.hear({"type": "final"} | final(*said)) for said in ((0, "Hello."), (0, "You?"), (1, "Yes."))]
    assert heard == ["Hello.", " You?", "\nYes."]
    assert deltas.text == "Hello. You?\nYes."
