"""Errors about options that no running model can serve: they have the names that the client's API has."""

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs
from wyoming.asr import Transcribe
from wyoming.audio import AudioStart

from frontend.access.session_tokens import SessionIdentity
from frontend.api.deepgram_errors import DeepgramErrors
from frontend.api.logged_call import LoggedCall
from frontend.api.renderers import MISTRAL, OPENAI
from frontend.protocols.deepgram.flux import DeepgramFlux
from frontend.protocols.deepgram.flux_query import flux_listen
from frontend.protocols.deepgram.parameters import Query
from frontend.protocols.deepgram.query import listen, recording
from frontend.protocols.deepgram.realtime import DeepgramRealtime
from frontend.protocols.dialect import Action, Check, Dialect, Open, Send
from frontend.protocols.mistral.realtime import MistralRealtime
from frontend.protocols.telephony import telnyx, twilio
from frontend.protocols.telephony.call_stream import CallStream
from frontend.protocols.whisperlive.realtime import WhisperLive
from frontend.protocols.wyoming.asr import WyomingAsr
from frontend.sessions.placement import candidates
from frontend.sessions.running_models import RunningModel
from shared.config.sections import ForeignProtocol
from shared.errors import InvalidFieldError, VoxtralError
from shared.session_options import KnownSpeaker, Mode, SessionOptions
from tests.unit.frontend.protocols.telephony.messages import start, telnyx_start
from tests.unit.frontend.protocols.wyoming.test_framing import written

ENGLISH = [RunningModel("small", "whisper", tuple(Mode), ("en",), workers=1, slots=1, slots_free=1, most_tracks=1)]
TRANSCRIBING = [replace(ENGLISH[0], modes=(Mode.TRANSCRIBE,))]
UNKNOWN: Query = {"language_hint": ["xx"], "detect_language": ["xx"], "multichannel": ["true"], "channels": ["2"]}


def error_of(options: SessionOptions, models: list[RunningModel] = ENGLISH) -> VoxtralError:
    """What opening a session with these options would raise."""
    with pytest.raises(VoxtralError) as raised:
        candidates(models, options)
    return raised.value


def carried_out(dialect: Dialect, actions: Iterable[Action], message: Any) -> str:
    """What the client is sent if the options of its session cannot be served."""
    [options] = [action.options for action in actions if isinstance(action, Check | Open)]
    told = [action.message for action in dialect.refuse(error_of(options), message) if isinstance(action, Send)]
    texts = [one() if callable(one) else one for one in told]
    return " ".join(one.decode(errors="replace") if isinstance(one, bytes) else json.dumps(one) for one in texts)


def test_parameters_of_deepgram() -> None:
    flux = DeepgramFlux("id", flux_listen(UNKNOWN))
    assert "language_hint is ['xx']; allowed: en." in carried_out(flux, flux.greet(), None)
    nova = DeepgramRealtime("id", listen({"detect_language": ["xx"]}))
    assert "detect_language is ['xx']; allowed: en." in carried_out(nova, nova.greet(), None)
    error = error_of(recording({"detect_language": ["xx"]}))
    assert DeepgramErrors("id").error_body(error)["err_msg"] == "detect_language is ['xx']; allowed: en."


def test_changes_of_flux_have_the_name_of_their_message() -> None:
    flux = DeepgramFlux("id", flux_listen({}))
    configure = json.dumps({"type": "Configure", "language_hints": ["xx"]})
    assert "language_hints is ['xx']; allowed: en." in carried_out(flux, flux.receive(configure), configure)


def test_fields_of_wyoming() -> None:
    asr = WyomingAsr()
    asr.receive(written(Transcribe(name="other").event()))
    begin = written(AudioStart(16_000, 2, 1).event())
    assert "name is 'other'; allowed: auto, small." in carried_out(asr, asr.receive(begin), begin)
    with pytest.raises(InvalidFieldError) as raised:
        asr.receive(written(AudioStart(1, 2, 1).event()))
    [told, _] = asr.refuse(raised.value, b"")
    assert isinstance(told, Send)
    assert isinstance(told.message, bytes)
    assert b"rate is 1; allowed" in told.message


def test_options_of_whisperlive() -> None:
    error = error_of(SessionOptions(mode=Mode.TRANSLATE), TRANSCRIBING)
    [told, _] = WhisperLive().refuse(error, b"")
    assert isinstance(told, Send)
    assert isinstance(told.message, dict)
    assert told.message["message"].startswith("task 'translate' is not supported by the running model (small)")


def test_fields_of_mistral() -> None:
    dialect = MistralRealtime("id", "auto")
    session = {"speaker_references": {"Ann": "AAAA"}}
    update = json.dumps({"type": "session.update", "session": session})
    said = carried_out(dialect, dialect.receive(update), update)
    assert "diarize is None; allowed: true if speaker_references is given." in said
    wrong = json.dumps({"type": "session.update", "session": {"audio_format": {"sample_rate": 1}}})
    with pytest.raises(InvalidFieldError) as raised:
        dialect.receive(wrong)
    [told] = dialect.refuse(raised.value, wrong)
    assert isinstance(told, Send)
    assert isinstance(told.message, dict)
    assert told.message["error"]["message"].startswith("audio_format.sample_rate is 1; allowed")


def test_fields_of_an_upload() -> None:
    known = SessionOptions(known_speakers=(KnownSpeaker("Ann", audio=b"a"),))
    body = MISTRAL.error_body(error_of(known))
    assert (body["param"], body["message"]) == (
        "diarize",
        "diarize is None; allowed: true if speaker_references is given.",
    )
    error = InvalidFieldError("known_speakers", 1, "x")
    assert OPENAI.error_body(error)["error"]["param"] == "known_speaker_references"
    assert error.message == "known_speaker_references is 1; allowed: x."


@pytest.mark.parametrize(
    ("service", "parse", "first", "expected"),
    [
        (
            ForeignProtocol.TWILIO,
            twilio.parse_start,
            start(customParameters={"language": "xx"}),
            "customParameters.language is",
        ),
        (ForeignProtocol.TWILIO, twilio.parse_start, start(tracks=["inbound", "outbound"]), "start.tracks is 2;"),
        (
            ForeignProtocol.TELNYX,
            lambda wire: telnyx.parse_start(wire, {}),
            telnyx_start(custom_parameters={"stream_track": "both_tracks"}),
            "stream_track is 2;",
        ),
    ],
)
def test_parameters_of_a_call(
    service: ForeignProtocol, parse: Callable[[dict[str, Any]], Any], first: dict[str, Any], expected: str
) -> None:
    """Telephone services show their users no errors; the log does."""
    call = LoggedCall(CallStream(parse, lambda _: SessionIdentity("0123456789abcdef", "token")), service)
    message = json.dumps(first)
    with capture_logs() as logs:
        carried_out(call, call.receive(message), message)
    assert logs[0]["event"] == "call_failed"
    assert logs[0]["reason"].startswith(expected)


def test_languages_that_do_not_fit_in_a_call() -> None:
    wrong = start(customParameters={"language": "fr", "languages": "de,en"})
    with pytest.raises(InvalidFieldError, match=r"customParameters\.language is 'fr'; allowed: one of languages"):
        twilio.parse_start(wrong)
