"""Speakers in every API: the fields that request them, and how each names them in its answers and events."""

import io
from base64 import b64encode
from typing import Any

import orjson
import pytest
from mistralai.client.models import TranscriptionResponse, TranscriptionStreamSegmentDelta
from openai.types.audio import TranscriptionDiarized, TranscriptionTextDeltaEvent, TranscriptionTextSegmentEvent
from starlette.datastructures import FormData, Headers, UploadFile

from frontend.api.renderers import MISTRAL, OPENAI, Format
from frontend.api.transcription_request import is_mistral_form, mistral_order, openai_order
from frontend.api.upload_form import MULTIPART, Form
from frontend.protocols.dialect import Open, Send
from frontend.protocols.mistral.realtime import MistralRealtime
from frontend.protocols.mistral.session import MistralSession
from frontend.protocols.native import states as native
from frontend.protocols.native.messages import parse_message
from frontend.protocols.openai import rest as openai_rest
from frontend.protocols.openai.realtime import OpenAIRealtime
from frontend.protocols.vllm import VllmRealtime
from frontend.transcripts.awaited_labels import MAX_HELD, AwaitedLabels
from frontend.transcripts.recording import Growth, Transcript
from shared.bus.event_log import LoggedEvent
from shared.config.sections import AudioSettings
from shared.errors import InvalidFieldError
from shared.final_speakers import DIARIZE_UNAVAILABLE
from shared.session_options import KnownSpeaker
from tests.unit.frontend.protocols.openai.openai_wire import Wire, connected, error_of, kinds, silence, update
from voxtral_client.events import Final

AUDIO = b"RIFF" * 40_000
ENCODED = b64encode(AUDIO).decode()
KNOWN = (KnownSpeaker("agent", audio=AUDIO), KnownSpeaker("customer", audio=AUDIO))
LABELS = {"type": "speakers", "seq": 9, "segments": [{"segment": 1, "speaker": "B", "word_speakers": ["B", None]}]}


def part(text: str) -> UploadFile:
    """A form field that is too long for a text."""
    return UploadFile(io.BytesIO(text.encode()), size=len(text), filename="", headers=Headers())


def form(*fields: tuple[str, str | UploadFile]) -> Form:
    file = UploadFile(None, size=1, filename="a.wav", headers=Headers())  # type: ignore[arg-type]
    return Form(FormData([("file", file), *fields]), MULTIPART)


def final(segment: int, tagged: str, **more: Any) -> dict[str, Any]:
    """`A:word` is spoken by A; a word without a label is not labelled yet."""
    words = []
    for index, one in enumerate(tagged.split()):
        name, _, text = one.rpartition(":")
        start = round(segment + index * 0.1, 1)
        words.append({"text": text, "start": start, "end": round(start + 0.1, 1)} | ({"speaker": name} if name else {}))
    text = " ".join(word["text"] for word in words)
    label = {"speaker": words[0]["speaker"]} if "speaker" in words[0] else {}
    times = {"start": float(segment), "end": words[-1]["end"]}
    return {
        "type": "final",
        "seq": segment + 2,
        "segment": segment,
        "text": text,
        "words": words,
        **times,
        **label,
        **more,
    }


def recorded(*events: dict[str, Any]) -> Transcript:
    transcript = Transcript("echo")
    for event in (*events, {"type": "done", "text": "", "duration": 3.0}):
        transcript.take(event)
    return transcript


DIALOGUE = recorded(final(0, "A:Hello A:there. B:Hi!"), final(1, "Oh. Yes."), LABELS)


def test_openais_form_asks_for_speakers_by_its_format() -> None:
    fields = [("known_speaker_names[]", speaker.name) for speaker in KNOWN]
    references = [("known_speaker_references[]", part(f"data:audio/wav;base64,{ENCODED}")) for _ in KNOWN]
    order = openai_order(
        form(("response_format", "diarized_json"), ("chunking_strategy", "auto"), *fields, *references), "transcribe"
    )
    assert (order.options.diarize, order.options.words, order.options.known_speakers) == (True, True, KNOWN)
    assert (order.format.response_format, order.format.diarize) == ("diarized_json", True)
    plain = openai_order(form(("model", "gpt-4o-transcribe-diarize")), "transcribe")
    assert (plain.options.diarize, plain.options.known_speakers) == (None, None)


def test_our_own_field_asks_for_speakers_in_every_format_of_openai() -> None:
    given = form(("response_format", "srt"), ("diarize", "true"), ("max_speakers", "3"))
    assert not is_mistral_form(given)
    options = openai_order(given, "transcribe").options
    assert (options.diarize, options.max_speakers) == (True, 3)
    assert is_mistral_form(form(("diarize", "true")))


@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        ([("known_speaker_names[]", "agent")], "response_format", "diarized_json if known_speaker_names is given"),
        (
            [("response_format", "diarized_json"), ("known_speaker_names[]", "agent")],
            "known_speaker_references",
            "is 'a list of 0'; allowed: one of 1 to 10 s for each of the 1 known_speaker_names",
        ),
        (
            [
                ("response_format", "diarized_json"),
                ("known_speaker_names[]", "agent"),
                ("known_speaker_references[]", part("data:audio/wav;base64,AAA")),
            ],
            "known_speaker_references",
            "'the voice of agent'; allowed: a recording of 1 to 10 s as base64",
        ),
        (
            [
                ("response_format", "diarized_json"),
                ("known_speaker_names[]", "x" * 101),
                ("known_speaker_references[]", part("data:audio/wav;base64,AAAA")),
            ],
            "known_speaker_references",
            "of 1 to 10 s, for as many different known_speaker_names, each of 1 to 100 characters",
        ),
        ([("response_format", "diarized_json"), ("max_speakers", "1")], "max_speakers", "2 to 16"),
        ([("chunking_strategy", "hourly")], "chunking_strategy", "auto"),
        ([("chunking_strategy[type]", "client_vad")], "chunking_strategy", "server_vad"),
        ([("response_format", "diarized_json"), ("timestamp_granularities[]", "word")], "response_format", "verbose"),
    ],
)
def test_wrong_fields_of_openais_form_are_named(fields: list[tuple[str, Any]], field: str, said: str) -> None:
    with pytest.raises(InvalidFieldError, match=said) as caught:
        openai_order(form(*fields), "transcribe")
    assert caught.value.field == field


def test_translations_name_no_speakers_in_a_format_of_transcripts() -> None:
    with pytest.raises(InvalidFieldError, match="response_format is 'diarized_json'"):
        openai_order(form(("response_format", "diarized_json")), "translate")


def test_mistrals_form_asks_for_speakers_and_names_known_ones() -> None:
    references = orjson.dumps({speaker.name: ENCODED for speaker in KNOWN}).decode()
    order = mistral_order(form(("diarize", "True"), ("speaker_references", part(references))))
    assert (order.options.diarize, order.options.words, order.options.known_speakers) == (True, True, KNOWN)
    for wrong, said in (
        ("[1]", "a JSON object"),
        ("{", "a JSON object"),
        ('{"Ann": "AAA"}', "is 'the voice of Ann'; allowed: a recording of 1 to 10 s as base64"),
        ('{"": "AAAA"}', "is '…'; allowed: an object of at most 16 names of 1 to 100 characters, each with base64"),
    ):
        with pytest.raises(InvalidFieldError, match=said) as caught:
            mistral_order(form(("diarize", "true"), ("speaker_references", part(wrong))))
        assert caught.value.field == "speaker_references"


def test_diarized_json_has_a_segment_for_each_turn() -> None:
    response = OPENAI.transcript(DIALOGUE, Format("transcribe", frozenset(), "diarized_json", diarize=True))
    body = TranscriptionDiarized.model_validate_json(bytes(response.body), strict=True)
    assert [(segment.speaker, segment.text, segment.start) for segment in body.segments] == [
        ("A", "Hello there.", 0.0),
        ("B", "Hi!", 0.2),
        ("B", "Oh.", 1.0),
        ("?", "Yes.", 1.1),
    ]
    assert len({segment.id for segment in body.segments}) == 4
    assert body.text == "Hello there. Hi! Oh. Yes."


def test_streamed_turns_have_deltas_that_join_to_the_text() -> None:
    frames = [orjson.loads(line[6:]) for line in stream(OPENAI, "diarized_json").splitlines() if line]
    deltas = [TranscriptionTextDeltaEvent.model_validate(one) for one in frames if one["type"].endswith("delta")]
    turns = [TranscriptionTextSegmentEvent.model_validate(one) for one in frames if one["type"].endswith("segment")]
    assert "".join(delta.delta for delta in deltas) == DIALOGUE.text
    assert [delta.segment_id for delta in deltas] == [turn.id for turn in turns]
    assert [turn.speaker for turn in turns] == ["A", "B", "B", "?"]


def stream(renderer: Any, response_format: str = "json") -> bytes:
    """What a stream says after the deltas, if its labels come late."""
    wanted = Format("transcribe", frozenset(), response_format, diarize=True)
    awaited, told, frames = AwaitedLabels(), Growth(), b""
    for event in (final(0, "A:Hello A:there. B:Hi!"), final(1, "Oh. Yes."), LABELS):
        for segment in awaited.take(event):
            frames += renderer.spoken(segment, told.gap(segment), wanted)
    return frames


def test_mistral_names_speakers_of_segments_and_words() -> None:
    for granularities, texts in (
        ((), ["Hello there.", "Hi!", "Oh.", "Yes."]),
        (("word",), ["Hello", "there.", "Hi!", "Oh.", "Yes."]),
    ):
        wanted = Format("transcribe", frozenset(granularities), diarize=True)
        body = TranscriptionResponse.model_validate_json(bytes(MISTRAL.transcript(DIALOGUE, wanted).body))
        assert [segment.text for segment in body.segments or []] == texts
        assert [segment.speaker_id or None for segment in body.segments or []][-2:] == ["B", None]
    segments = [line[6:] for line in stream(MISTRAL).splitlines() if line.startswith(b"data: ")]
    told = [TranscriptionStreamSegmentDelta.model_validate_json(one) for one in segments]
    assert [segment.text for segment in told] == ["Hello there.", "Hi!", "Oh.", "Yes."]
    plain = Format("transcribe", frozenset({"segment"}))
    body = TranscriptionResponse.model_validate_json(bytes(MISTRAL.transcript(DIALOGUE, plain).body))
    assert len(body.segments or []) == 2


def test_openais_other_formats_name_speakers_if_they_know_any() -> None:
    assert openai_rest.plain_body(DIALOGUE, "text") == "A: Hello there.\n\nB: Hi!\nOh.\n\n?: Yes.\n"
    body = openai_rest.verbose_body(DIALOGUE, "transcribe", {"segment", "word"}, 0)
    assert [segment["speaker"] for segment in body["segments"]] == ["A", "B"]
    assert body["words"][-1] == {"word": "Yes.", "start": 1.1, "end": 1.2, "speaker_unsure": True}


def test_finals_wait_for_their_speakers_but_not_for_ever() -> None:
    awaited = AwaitedLabels()
    held = [Final.from_wire(final(number, "word")) for number in range(MAX_HELD + 1)]
    released = [one for final_ in held for one in awaited.add(final_)]
    assert released == held[:1]
    assert awaited.take({"type": "done"}) == held[1:] == released[1:] + list(held[1:])
    assert awaited.add(Final.from_wire(final(0, "word", speaker_unsure=True))) != []


def test_finals_do_not_wait_for_speakers_that_no_worker_can_name() -> None:
    awaited = AwaitedLabels()
    assert awaited.take(final(0, "word")) == []
    warning = {"type": "warning", "code": DIARIZE_UNAVAILABLE, "message": "No model."}
    assert [one.segment for one in awaited.take(warning)] == [0]
    assert [one.segment for one in awaited.take(final(1, "word"))] == [1]


def test_openais_live_transcription_tells_segments_with_their_speakers() -> None:
    wire = connected(transcription={"model": "gpt-4o-transcribe-diarize", "max_speakers": 2})
    wire.append(1000)
    options = wire.taken(Open)[0].options  # type: ignore[attr-defined]
    assert (options.diarize, options.max_speakers, options.words) == (True, 2, True)
    told = wire.say(**final(0, "A:Hello A:there. B:Hi!"))
    assert kinds(told)[-4:] == ["delta", "segment", "segment", "completed"]
    assert "logprobs" not in told[-1]
    item_id = wire.say(**final(1, "Oh. Yes."))[-1]["item_id"]
    late = wire.say(**LABELS)
    assert [(one["item_id"], one["speaker"], one["text"]) for one in late] == [
        (item_id, "B", "Oh."),
        (item_id, "?", "Yes."),
    ]


def test_openais_live_transcription_without_speakers_tells_no_segments() -> None:
    wire = connected()
    wire.append(1000)
    assert "segment" not in kinds(wire.say(**final(0, "A:Hello")))
    assert wire.say(**LABELS) == []
    wire = connected(transcription={"model": "gpt-4o-transcribe-diarize", "diarize": False})
    wire.append(1000)
    assert wire.taken(Open)[0].options.diarize is None  # type: ignore[attr-defined]


def test_openais_live_transcription_shows_known_speakers_by_name_and_keeps_them() -> None:
    known = [{"name": "agent", "audio": ENCODED}]
    wire = Wire(OpenAIRealtime())
    told = update(wire, transcription={"model": "echo", "diarize": True, "known_speakers": known})
    assert told[0]["session"]["audio"]["input"]["transcription"]["known_speakers"] == [{"name": "agent"}]
    wire.append(1000)
    assert wire.taken(Open)[0].options.known_speakers == KNOWN[:1]  # type: ignore[attr-defined]
    error = error_of(update(wire, transcription={"known_speakers": None}))
    assert error["param"] == "session.audio.input.transcription.known_speakers"


def test_mistrals_live_transcription_names_speakers() -> None:
    session = MistralSession("id", "auto").updated({"diarize": True, "speaker_references": {"agent": ENCODED}})
    assert (session.options.diarize, session.options.known_speakers) == (True, KNOWN[:1])
    assert session.to_wire().items() >= {"diarize": True, "speaker_references": ["agent"]}.items()
    dialect = MistralRealtime("r1", "auto")
    list(dialect.receive(orjson.dumps({"type": "session.update", "session": {"diarize": True}}).decode()))
    list(dialect.receive(orjson.dumps({"type": "input_audio.append", "audio": silence(100)}).decode()))
    events = ({"type": "ready", "model": "echo"}, final(0, "A:Hello B:Hi!"), final(1, "Oh. Yes."), LABELS)
    told = [message for event in events for message in rendered(dialect, event)]
    segments = [one for one in told if one["type"] == "transcription.segment"]
    assert [(one["text"], one.get("speaker_id")) for one in segments] == [
        ("Hello", "A"),
        ("Hi!", "B"),
        ("Oh.", "B"),
        ("Yes.", None),
    ]
    done = rendered(dialect, {"type": "done", "text": "", "duration": 3.0})[-1]
    assert [(one["text"], one.get("speaker_id")) for one in done["segments"]] == [
        (one["text"], one.get("speaker_id")) for one in segments
    ]


def test_vllms_done_has_the_turns_if_they_are_wanted() -> None:
    dialect = VllmRealtime()
    list(dialect.receive(orjson.dumps({"type": "session.update", "model": "echo", "diarize": True}).decode()))
    for event in ({"type": "ready", "model": "echo"}, final(0, "A:Hello B:Hi!"), final(1, "Oh. Yes."), LABELS):
        rendered(dialect, event)
    [done] = rendered(dialect, {"type": "done", "text": "", "duration": 3.0})
    assert [one.get("speaker") for one in done["segments"]] == ["A", "B", "B", None]


@pytest.mark.parametrize("dialect", [MistralRealtime("r1", "auto"), VllmRealtime()])
def test_late_labels_are_about_the_revised_words(dialect: Any) -> None:
    update = {"type": "session.update", "model": "echo", "diarize": True, "session": {"diarize": True}}
    list(dialect.receive(orjson.dumps(update).decode()))
    revised = final(0, "Hello there. Hi!") | {"type": "revised", "seq": 3, "pending": 0}
    labels = {"seq": 4, "segments": [{"segment": 0, "speaker": "A", "word_speakers": ["A", "A", "B"]}]}
    for event in (
        {"type": "ready", "model": "echo"},
        final(0, "A:Hello A:Hi!"),
        revised,
        {"type": "speakers", **labels},
    ):
        rendered(dialect, event)
    done = rendered(dialect, {"type": "done", "text": "", "duration": 3.0})[-1]
    assert [one["text"] for one in done["segments"]] == ["Hello there.", "Hi!"]


def rendered(dialect: Any, event: dict[str, Any]) -> list[dict[str, Any]]:
    actions = dialect.render(LoggedEvent(orjson.dumps(event), event))
    return [action.message for action in actions if isinstance(action, Send)]


def test_known_speakers_come_with_start_only() -> None:
    with pytest.raises(InvalidFieldError, match="in start only"):
        parse_message({"type": "configure", "known_speakers": []}, AudioSettings())
    changes: Any = parse_message({"type": "configure", "diarize": True, "max_speakers": 2}, AudioSettings())
    assert changes.changes == {"diarize": True, "max_speakers": 2}


def test_reply_to_an_audio_request_has_its_turns() -> None:
    request: Any = parse_message({"type": "audio", "audio_data": "UklGRg==", "diarize": True}, AudioSettings())
    assert request.options.words, "a turn may be a part of a final"
    turns = [{"text": "Hi!", "start": 0.0, "end": 1.0, "speaker": "A"}]
    reply = orjson.loads(native.response(request, model="e", text="Hi!", processing_ms=1, audio_ms=1, segments=turns))
    assert reply["segments"] == turns
    assert "segments" not in orjson.loads(native.response(request, model="e", text="Hi!", processing_ms=1, audio_ms=1))
