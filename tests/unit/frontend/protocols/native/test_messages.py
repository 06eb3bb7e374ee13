"""Messages of the native protocol that are understood, and what they mean."""

from typing import Any

import orjson
import pytest

from frontend.protocols.audio_formats import changed_format
from frontend.protocols.dialect import Append, Cancel, Commit, Finish, OneShot, Open, Resume, Status
from frontend.protocols.native.messages import Ping, parse_message
from frontend.protocols.options import CONFIGURE, MAX_MODEL_CHARS, MAX_NEW_TOKENS, START, options_of
from shared.audio.pcm import AudioFormat
from shared.config.sections import AudioSettings
from shared.errors import InvalidAudioError, InvalidFieldError
from shared.session_options import CommitDelay, Mode, SessionOptions
from tests.unit.frontend.protocols.native.parsing import PCM, parse


def test_the_smallest_one_shot_takes_the_defaults() -> None:
    assert parse(type="audio", audio_data=PCM) == OneShot(
        request_id=None,
        options=SessionOptions(words=False, partials=False, recording=True),
        audio=b"\x01\x02" * 8,
        encoding=None,
        sample_rate=16_000,
        channels=1,
        stream=False,
    )


def test_a_one_shot_with_every_field() -> None:
    request = parse(
        type="audio",
        audio_data=PCM,
        mode="general",
        prompt="Say it in French.",
        language="de",
        id="r-1",
        encoding="pcmu",
        sample_rate=8000,
        channels=2,
        stream=True,
        model="Voxtral-Mini-3B-2507",
        max_new_tokens=200,
        temperature=0.7,
        top_p=0.9,
    )
    assert request.options == SessionOptions(
        Mode.GENERAL,
        "de",
        "Say it in French.",
        words=True,
        partials=True,
        recording=True,
        model="Voxtral-Mini-3B-2507",
        max_new_tokens=200,
        temperature=0.7,
        top_p=0.9,
    )
    assert (request.request_id, request.encoding, request.sample_rate, request.channels) == ("r-1", "pcmu", 8000, 2)
    assert request.stream


def test_start_with_every_field() -> None:
    action = parse(
        type="start",
        mode="transcribe",
        language="en",
        encoding="pcm_f32le",
        sample_rate=48_000,
        channels=2,
        languages=["de", "en", "de"],
        delay_ms=2400,
        commit_delay="fast",
        words=False,
        partials=False,
        recording=True,
        prompt=None,
    )
    assert action.options == SessionOptions(
        Mode.TRANSCRIBE,
        "en",
        delay_ms=2400,
        words=False,
        partials=False,
        recording=True,
        languages=("de", "en"),
        commit_delay=CommitDelay.FAST,
    )
    assert action.audio_format == AudioFormat("pcm_f32le", 48_000, 2)


def test_raw_audio_is_what_the_settings_say_unless_the_client_says_it() -> None:
    defaults = AudioSettings(sample_rate=8000, channels=2)
    action = parse_message({"type": "start"}, defaults)
    assert isinstance(action, Open)
    assert action.audio_format == AudioFormat("pcm_s16le", 8000, 2)


def test_understanding_has_a_prompt_of_its_own() -> None:
    assert parse(type="start", mode="understand").options.prompt == "Describe what you hear in this audio."
    assert parse(type="start", mode="understand", prompt="Who speaks?").options.prompt == "Who speaks?"
    assert parse(type="start", mode="general").options.prompt is None


def test_the_other_messages() -> None:
    assert parse(type="ping", id=7) == Ping(7)
    assert parse(type="status") == Status(None)
    assert parse(type="chunk", audio_data=PCM) == Append(b"\x01\x02" * 8)
    assert parse(type="commit") == Commit()
    assert parse(type="stop") == Finish()
    assert parse(type="cancel") == Cancel()
    assert parse(type="resume", session_id="ab12", resume_token="t", seq=17) == Resume("ab12", "t", 17, AudioFormat())


@pytest.mark.parametrize("prefix", ["data:audio/wav;base64,", "data:audio/webm;codecs=opus;base64,", "DATA:;BASE64,"])
@pytest.mark.parametrize("kind", ["audio", "chunk"])
def test_audio_may_be_a_data_url(kind: str, prefix: str) -> None:
    assert parse(type=kind, audio_data=prefix + PCM).audio == b"\x01\x02" * 8
    with pytest.raises(InvalidAudioError, match="audio_data is not base64"):
        parse(type=kind, audio_data=prefix.replace("64", "32") + PCM)


def test_whole_numbers_may_be_written_with_a_point() -> None:
    started = parse(type="start", sample_rate=48000.0, channels=2.0, delay_ms=480.0, max_new_tokens=5.0)
    assert started.audio_format == AudioFormat("pcm_s16le", 48_000, 2)
    assert (started.options.delay_ms, started.options.max_new_tokens) == (480, 5)
    assert all(type(value) is int for value in (started.options.delay_ms, started.audio_format.sample_rate))
    assert parse(type="resume", session_id="a", resume_token="t", seq=3.0).seq == 3
    assert parse(type="commit", number=2.0).number == 2
    assert orjson.dumps(parse(type="ping", id=7.0).request_id) == b"7"


def test_audio_in_a_container_has_no_format() -> None:
    assert parse(type="start", encoding="container").audio_format is None
    assert parse(type="resume", session_id="a", resume_token="t", seq=0, encoding="container").audio_format is None
    assert parse(type="audio", audio_data=PCM, encoding="container").encoding == "container"


def test_configure_changes_the_format_of_the_audio() -> None:
    changes = parse(type="configure", encoding="pcmu", sample_rate=8000).audio_changes
    assert changed_format(AudioFormat(), changes) == AudioFormat("pcmu", 8000)
    assert changed_format(None, {"sample_rate": 48_000}) is None
    assert changed_format(AudioFormat("pcmu", 8000), {"encoding": "container"}) is None
    assert changed_format(None, {"encoding": "pcm_s16le"}) == AudioFormat()
    for field, value in (("encoding", "mp3"), ("sample_rate", 1), ("channels", 3)):
        with pytest.raises(InvalidFieldError, match=f"^{field} is "):
            parse(type="configure", **{field: value})


def test_configure_changes_only_what_is_given() -> None:
    assert parse(type="configure", language=None, delay_ms=480).changes == {"language": None, "delay_ms": 480}
    told = parse(type="configure", languages=["en"], commit_delay="accurate").changes
    assert told == {"languages": ("en",), "commit_delay": CommitDelay.ACCURATE}
    assert parse(type="configure", prompt="x").changes == {"prompt": "x"}
    sampling = {"max_new_tokens": 64, "temperature": None, "top_p": 0.5}
    assert parse(type="configure", **sampling).changes == sampling


@pytest.mark.parametrize("value", ["echo", "auto", None, 5])
@pytest.mark.parametrize("name", [one.name for one in options_of(START) if CONFIGURE not in one.messages])
def test_configure_cannot_change_what_a_session_keeps(name: str, value: Any) -> None:
    with pytest.raises(InvalidFieldError, match=f"^{name} is '…'; allowed: in start only"):
        parse(type="configure", prompt="x", **{name: value})


def test_recording_has_no_turns() -> None:
    assert parse(type="start", recording=True, turn_detection=None).options.recording
    with pytest.raises(InvalidFieldError, match=r"^turn_detection is '…'; allowed: nothing with recording"):
        parse(type="start", recording=True, turn_detection={"type": "pause"})


def test_unknown_fields_are_passed_over_and_null_is_absent() -> None:
    nothing = dict.fromkeys(
        [
            *("mode", "language", "prompt", "encoding", "sample_rate", "channels", "stream", "id"),
            *("model", "max_new_tokens", "temperature", "top_p"),
        ]
    )
    assert parse(type="audio", audio_data=PCM, **nothing, later={"a": [1]}) == parse(type="audio", audio_data=PCM)


@pytest.mark.parametrize("delay_ms", [*range(80, 1201, 80), 2400])
def test_every_delay_of_the_model_is_allowed(delay_ms: int) -> None:
    assert parse(type="start", delay_ms=delay_ms).options.delay_ms == delay_ms


@pytest.mark.parametrize("kind", ["audio", "start"])
@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("model", value) for value in ("auto", "m", "/models/größe", "x" * MAX_MODEL_CHARS)),
        *(("max_new_tokens", value) for value in (1, MAX_NEW_TOKENS)),
        *(("temperature", value) for value in (0, 0.0, 1, 1.5, 2, 2.0)),
        *(("top_p", value) for value in (1e-9, 0.5, 1, 1.0)),
    ],
)
def test_choices_of_the_model_reach_to_their_limits(kind: str, field: str, value: Any) -> None:
    assert getattr(parse(**{"type": kind, "audio_data": PCM, field: value}).options, field) == value
