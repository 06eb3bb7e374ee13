"""The messages of Flux, one by one, against the models of Deepgram's own SDK."""

import contextlib
import json
from collections.abc import Iterable
from typing import Any

from deepgram.core.unchecked_base_model import construct_type
from deepgram.listen.v2.socket_client import V2SocketClientResponse
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from frontend.protocols.deepgram.flux import DeepgramFlux
from frontend.protocols.deepgram.flux_query import flux_listen
from frontend.protocols.deepgram.flux_turn import MAX_CHARS
from frontend.protocols.deepgram.parameters import query_of
from frontend.protocols.dialect import EARLIER_AUDIO, Action, Append, Change, Check, Commit, Finish, Hangup, Open, Send
from shared.audio.pcm import AudioFormat
from shared.bus.event_log import LoggedEvent
from shared.errors import (
    ForbiddenError,
    IdleTimeoutError,
    InternalError,
    InvalidAudioError,
    InvalidFieldError,
    MessageTooLargeError,
    ModelUnavailableError,
    ModeUnsupportedError,
    RateLimitedError,
    ServerBusyError,
    UnauthorizedError,
    UnknownTypeError,
    VoxtralError,
)
from shared.session_options import KeyTerm
from tests.socket_messages import document

SECOND = b"\1\0" * 16_000
WORDS = [
    {"text": "Hello", "start": 0.1, "end": 0.4, "confidence": 0.9},
    {"text": "world.", "start": 0.5, "end": 0.9},
]
PARTIAL = {"seq": 2, "segment": 0, "text": "Hello wor", "start": 0.0, "end": 0.6}
FINAL = {"seq": 3, "segment": 0, "text": "Hello world.", "start": 0.0, "end": 1.0, "words": WORDS, "language": "en"}
EARLY = {"end": 1.0, "decided_at": 1.2, "probability": 0.55}
ENDED = {"end": 1.0, "decided_at": 1.2, "probability": 0.9, "reason": "finished"}
SCHEMAS = {
    message["name"]: Draft202012Validator(message["payload"])
    for name, message in document()["components"]["messages"].items()
    if name.startswith("flux") and "name" in message
}


class Client:
    """Gives events and messages to a session that has received a second of audio."""

    def __init__(self, **query: str) -> None:
        query = {"model": "flux-general-multi", "encoding": "linear16", "sample_rate": "16000"} | query
        self.dialect = DeepgramFlux("r1", flux_listen(query_of(query.items())))
        self.received = 0
        check, connected = self.dialect.greet()
        assert isinstance(check, Check)
        assert self.read([connected])[0]["type"] == "Connected"
        opening, append = self.dialect.receive(SECOND)
        assert isinstance(opening, Open)
        assert (opening.audio_format, append) == (AudioFormat(), Append(SECOND))
        assert self.tell("ready", model="echo") == []

    def tell(self, kind: str, **fields: Any) -> list[dict[str, Any]]:
        return self.read(self.actions(kind, **fields))

    def actions(self, kind: str, **fields: Any) -> list[Action]:
        return list(self.dialect.render(LoggedEvent(b"", {"type": kind, **fields})))

    def say(self, kind: str, **fields: Any) -> list[Action]:
        return list(self.dialect.receive(json.dumps({"type": kind, **fields})))

    def read(self, actions: Iterable[Action]) -> list[dict[str, Any]]:
        """The messages among the actions. The SDK must know each, and they are numbered without a gap."""
        messages = []
        for action in actions:
            if isinstance(action, Send):
                assert callable(action.message)
                messages.append(json.loads(json.dumps(action.message())))
        for message in messages:
            parsed = construct_type(type_=V2SocketClientResponse, object_=message)
            assert type(parsed).__name__.removeprefix("ListenV2") in (message["type"], "Fatal" + message["type"])
            SCHEMAS[message["type"]].validate(message)
            assert message["sequence_id"] == self.received
            self.received += 1
        return messages


def events(messages: list[dict[str, Any]]) -> list[tuple[str, str, float]]:
    return [(one["event"], one["transcript"], one["end_of_turn_confidence"]) for one in messages]


def test_a_turn_from_its_start_to_its_end() -> None:
    client = Client(eager_eot_threshold="0.5")
    assert client.tell("speech_started", start=0.1) == []  # a noise starts no turn
    assert events(client.tell("partial", **PARTIAL | {"text": "Hello"})) == [("StartOfTurn", "Hello", 0.0)]
    assert events(client.tell("partial", **PARTIAL)) == [("Update", "Hello wor", 0.0)]
    assert events(client.tell("turn_ended_early", **EARLY)) == [("EagerEndOfTurn", "Hello wor", 0.55)]
    assert events(client.tell("turn_resumed", start=1.3)) == [("TurnResumed", "Hello wor", 0.0)]
    assert client.tell("final", **FINAL) == []
    [end] = client.tell("turn_ended", **ENDED)
    assert events([end]) == [("EndOfTurn", "Hello world.", 0.9)]
    assert (end["trigger"], end["turn_index"], end["languages"]) == ("model", 0, ["en"])
    assert (end["audio_window_start"], end["audio_window_end"]) == (0.0, 1.3)
    assert end["words"] == [
        {"word": "Hello", "confidence": 0.9, "start": 0.1, "end": 0.4},
        {"word": "world.", "confidence": 0.0, "start": 0.5, "end": 0.9},
    ]
    [start] = client.tell("partial", **PARTIAL | {"segment": 1, "start": 2.0, "end": 2.5})
    assert (start["event"], start["turn_index"], start["audio_window_start"]) == ("StartOfTurn", 1, 1.3)


def test_words_of_partial_text_have_times_as_far_as_they_are_known() -> None:
    [start] = Client().tell(
        "partial", **PARTIAL | {"text": "Hello world, how are", "committed": {"text": "Hello", "words": WORDS[:1]}}
    )
    assert start["words"][0] == {"word": "Hello", "confidence": 0.9, "start": 0.1, "end": 0.4}
    assert start["words"][1:] == [{"word": word, "confidence": 0.0} for word in ("world,", "how", "are")]


def test_words_without_times_have_the_confidence_that_the_model_reports() -> None:
    client = Client()
    final = {name: value for name, value in FINAL.items() if name != "words"}
    [start] = client.tell("final", **final | {"word_confidences": [0.8, 0.7]})
    assert start["words"] == [{"word": "Hello", "confidence": 0.8}, {"word": "world.", "confidence": 0.7}]


def test_several_finals_are_one_turn() -> None:
    client = Client()
    client.tell("final", **FINAL)
    client.tell("final", **FINAL | {"segment": 1, "text": "And again.", "words": []})
    [end] = client.tell("turn_ended", **ENDED | {"reason": "silence"})
    assert (end["transcript"], end["trigger"]) == ("Hello world. And again.", "timeout")


def test_no_probability_is_invented() -> None:
    client = Client()
    client.tell("final", **FINAL)
    [end] = client.tell("turn_ended", end=1.0, decided_at=1.0, reason="commit")
    assert (end["end_of_turn_confidence"], end["trigger"]) == (0.0, "manual")


def test_an_early_end_without_text_is_not_reported_nor_its_revocation() -> None:
    client = Client(eager_eot_threshold="0.5")
    assert client.tell("turn_ended_early", **EARLY) == []
    assert client.tell("turn_resumed", start=1.3) == []
    assert client.tell("turn_ended", **ENDED) == []
    assert events(client.tell("partial", **PARTIAL)) == [("StartOfTurn", "Hello wor", 0.0)]


def test_a_turn_that_was_no_speech_ends_without_text() -> None:
    client = Client()
    client.tell("partial", **PARTIAL)
    [end] = client.tell("final", **FINAL | {"text": "", "words": []})
    assert (end["event"], end["transcript"], end["trigger"]) == ("EndOfTurn", "", "no_speech")
    client.tell("partial", **PARTIAL | {"segment": 1})
    client.tell("turn_ended_early", **EARLY)  # `turn_ended` follows in this case
    assert client.tell("final", **FINAL | {"segment": 1, "text": "", "words": []}) == []
    [end] = client.tell("turn_ended", **ENDED)
    assert (end["transcript"], end["turn_index"]) == ("", 1)


def test_a_final_does_not_replace_the_text_of_a_later_segment() -> None:
    client = Client()
    client.tell("partial", **PARTIAL | {"segment": 1})
    assert client.tell("final", **FINAL | {"text": "", "words": []}) == []
    client.tell("final", **FINAL)
    [update] = client.tell("partial", **PARTIAL | {"segment": 1, "text": "Again"})
    assert update["transcript"] == "Hello world. Again"
    [end] = client.tell("turn_ended", **ENDED)
    assert end["transcript"] == "Hello world."


def test_a_final_replaces_the_text_of_earlier_segments() -> None:
    client = Client(eager_eot_threshold="0.5")
    client.tell("partial", **PARTIAL | {"text": "Hm"})
    client.tell("final", **FINAL | {"segment": 1})
    assert events(client.tell("turn_ended_early", **EARLY)) == [("EagerEndOfTurn", "Hello world.", 0.55)]


def test_an_early_end_is_reported_once_until_the_turn_resumes() -> None:
    client = Client(eager_eot_threshold="0.5")
    client.tell("partial", **PARTIAL)
    kinds = ("turn_ended_early", "turn_ended_early", "turn_resumed", "turn_resumed", "turn_ended_early")
    told = [message["event"] for kind in kinds for message in client.tell(kind, **EARLY | {"start": 1.3})]
    assert told == ["EagerEndOfTurn", "TurnResumed", "EagerEndOfTurn"]


def test_the_early_end_of_a_turn_says_nothing_about_the_next_one() -> None:
    client = Client(eager_eot_threshold="0.5")
    for kind, fields in (("partial", PARTIAL), ("turn_ended_early", EARLY), ("final", FINAL), ("turn_ended", ENDED)):
        client.tell(kind, **fields)
    client.tell("partial", **PARTIAL | {"segment": 1})
    [end] = client.tell("final", **FINAL | {"segment": 1, "text": "", "words": []})
    assert (end["turn_index"], end["trigger"]) == (1, "no_speech")


def test_a_very_long_turn_ends_by_itself() -> None:
    client = Client()
    client.tell("partial", **PARTIAL)
    [end] = client.tell("final", **FINAL | {"text": "a" * (MAX_CHARS + 1), "words": []})
    assert (end["event"], end["trigger"]) == ("EndOfTurn", "too_long")


def test_the_end_of_the_audio_ends_the_turn() -> None:
    client = Client()
    assert client.say("CloseStream") == [Finish()]
    assert list(client.dialect.receive(SECOND)) == []
    client.tell("final", **FINAL)
    [end] = client.tell("turn_ended", end=1.0, decided_at=1.0, reason="commit")
    assert end["trigger"] == "close_stream"
    assert client.actions("done", duration=1.0) == [Hangup(1000, "")]
    without_events = Client()
    without_events.tell("final", **FINAL)
    end_of_turn, hangup = without_events.actions("done", duration=1.0)
    assert isinstance(end_of_turn, Send)
    assert hangup == Hangup(1000, "")
    silent = DeepgramFlux("r1", flux_listen({}))
    assert list(silent.receive('{"type": "CloseStream"}')) == [Hangup(1000, "")]


def test_a_turn_can_be_forced_to_end() -> None:
    assert Client().say("ForceEndTurn") == [Commit()]
    assert list(DeepgramFlux("r1", flux_listen({})).receive('{"type": "ForceEndTurn"}')) == []


def test_configure_is_confirmed_after_it_is_applied() -> None:
    client = Client(keyterm="Ann")
    change, confirmed = client.say("Configure", thresholds={"eot_threshold": 0.6}, language_hints=["de"], keyterms="Bo")
    assert isinstance(change, Change)
    assert change.changes["keyterms"] == (KeyTerm("Bo"),)
    assert client.tell("partial", **PARTIAL)[0]["sequence_id"] == 1  # messages may be sent while it is applied
    [success] = client.read([confirmed])
    assert (success["thresholds"], success["keyterms"]) == ({"eot_threshold": 0.6, "eot_timeout_ms": 5000}, ["Bo"])
    assert success["language_hints"] == client.tell("partial", **PARTIAL)[0]["languages_hinted"] == ["de"]


def test_a_configure_that_fails_changes_nothing() -> None:
    client = Client()
    message = json.dumps({"type": "Configure", "keyterms": ["Ann"]})
    client.say("Configure", keyterms=["Ann"])
    [failure] = client.read(client.dialect.refuse(ModelUnavailableError("no"), message))
    assert (failure["type"], failure["code"]) == ("ConfigureFailure", "CONFIGURE_MODEL_UNAVAILABLE")
    _, confirmed = client.say("Configure", numerals=True)
    assert client.read([confirmed])[0]["keyterms"] == []
    early = DeepgramFlux("r1", flux_listen({}))
    check, _ = early.receive(message)
    assert isinstance(check, Check)
    opening, _ = early.receive(SECOND)
    assert isinstance(opening, Open)
    assert opening.options.keyterms == (KeyTerm("Ann"),)


def test_an_unknown_message_is_a_warning() -> None:
    client = Client()
    with contextlib.suppress(UnknownTypeError):
        client.say("Dance")
    [warning] = client.read(client.dialect.refuse(UnknownTypeError("what"), '{"type": "Dance"}'))
    assert (warning["type"], warning["code"]) == ("Warning", "UNKNOWN_TYPE")
    [warning] = client.tell("warning", code="keyterms_ignored", message="none")
    assert (warning["code"], warning["description"]) == ("KEYTERMS_IGNORED", "none")


def test_errors_end_the_connection() -> None:
    cases: tuple[tuple[VoxtralError, bytes | None, int, str], ...] = (
        (InvalidAudioError("no"), EARLIER_AUDIO, 1008, "INVALID_AUDIO"),
        (InvalidFieldError("model", "nobody", "echo"), None, 1008, "INVALID_FIELD"),
        (ModeUnsupportedError("no"), SECOND, 1008, "MODE_UNSUPPORTED"),
        (RateLimitedError("no"), SECOND, 1008, "RATE_LIMITED"),
        (UnauthorizedError("no"), SECOND, 1008, "UNAUTHORIZED"),
        (ForbiddenError("no"), SECOND, 1008, "FORBIDDEN"),
        (MessageTooLargeError(None, 1), None, 1008, "MESSAGE_TOO_LARGE"),
        (IdleTimeoutError(60), None, 1011, "IDLE_TIMEOUT"),
        (ServerBusyError("no"), SECOND, 1011, "SERVER_BUSY"),
        (InternalError("no"), None, 1011, "INTERNAL_SERVER_ERROR"),
    )
    for error, message, code, reason in cases:
        client = Client()
        told, hangup = client.dialect.refuse(error, message)
        [body] = client.read([told])
        assert (body["type"], body["code"], body["description"]) == ("Error", reason, error.message)
        assert hangup == Hangup(code, reason)


def test_english_without_a_model_that_knows_it_is_said_in_a_parameter_that_flux_has() -> None:
    client = Client(model="flux-general-en")
    told, hangup = client.dialect.refuse(InvalidFieldError("language", "en", "de, fr"), None)
    [body] = client.read([told])
    allowed = "flux-general-multi, because no running model knows English"
    assert body["description"] == f"model is 'flux-general-en'; allowed: {allowed}."
    assert hangup == Hangup(1008, "INVALID_FIELD")


CONTROLS = (json.dumps({"type": kind}) for kind in ("ForceEndTurn", "CloseStream", "Configure", "x"))
MESSAGES = st.sampled_from([*CONTROLS, '{"type": "Configure", "keyterms": ["a"]}', SECOND, b"", "{", "[]", "1"])
EVENTS = st.sampled_from(
    [
        ("partial", PARTIAL),
        ("final", FINAL),
        ("final", FINAL | {"text": "", "words": []}),
        ("turn_ended_early", EARLY),
        ("turn_resumed", {"start": 1.4}),
        ("turn_ended", ENDED),
        ("warning", {"code": "a", "message": "b"}),
        ("error", {"code": "server_busy", "message": "busy"}),
        ("done", {"duration": 4.0}),
    ]
)
STATES = {
    ("silent", "StartOfTurn"): "speaking",
    ("speaking", "Update"): "speaking",
    ("speaking", "EagerEndOfTurn"): "ending",
    ("ending", "Update"): "ending",
    ("ending", "TurnResumed"): "speaking",
    ("speaking", "EndOfTurn"): "silent",
    ("ending", "EndOfTurn"): "silent",
}
"""Flux's states, and the next one after each event that is allowed."""


@given(st.lists(MESSAGES | EVENTS | st.text(max_size=20) | st.binary(max_size=20), max_size=14))
def test_any_conversation_stays_in_the_states_of_flux(steps: list[Any]) -> None:
    client, state, turn = Client(eager_eot_threshold="0.5"), "silent", 0
    for step in steps:
        messages: list[dict[str, Any]] = []
        if isinstance(step, tuple):
            messages = client.tell(step[0], **step[1])
        else:
            try:
                messages = client.read(client.dialect.receive(step))
            except VoxtralError as error:
                messages = client.read(client.dialect.refuse(error, step))
        for message in messages:
            if message["type"] == "TurnInfo":
                state = STATES[state, message["event"]]
                assert message["transcript"] or message["event"] in ("Update", "TurnResumed", "EndOfTurn")
                assert message["turn_index"] == turn
                assert message["audio_window_start"] <= message["audio_window_end"]
                turn += message["event"] == "EndOfTurn"
