"""Documents of sessions whose channels are separate: ordered by time, with the channel of each line."""

import orjson
import pytest

from frontend.api.renderers import MISTRAL, OPENAI, Format
from frontend.transcripts.document import Form, SessionTranscript
from frontend.transcripts.recording import Transcript
from frontend.transcripts.subtitles import cues
from voxtral_client.events import Final


def said(segment: int, channel: int, text: str, start: float, end: float) -> dict[str, object]:
    word = {"text": text, "start": start, "end": end}
    event = {"type": "final", "seq": segment + 2, "segment": segment, "channel": channel, "text": text}
    return event | {"start": start, "end": end, "words": [word]}


EVENTS = [said(1, 1, "Fine, thanks.", 2.0, 3.0), said(0, 0, "How are you?", 0.0, 2.5), said(2, 0, "Good.", 3.5, 4.0)]
DOCUMENT = SessionTranscript("s1", [Final.from_wire(event) for event in EVENTS], is_complete=True)
TEXT = "How are you?\nFine, thanks.\nGood."


def test_json_has_the_channel_of_each_segment_in_order_of_time() -> None:
    document = orjson.loads(DOCUMENT.written(Form.JSON))
    assert document["text"] == TEXT
    assert [(one["segment"], one["channel"]) for one in document["segments"]] == [(0, 0), (1, 1), (2, 0)]


def test_text_has_a_line_for_each_turn() -> None:
    assert DOCUMENT.written(Form.TXT).decode() == (
        "Channel 0: How are you?\nChannel 1: Fine, thanks.\nChannel 0: Good.\n"
    )


def test_subtitles_of_channels_overlap_and_name_them() -> None:
    assert DOCUMENT.written(Form.SRT).decode() == (
        "1\n00:00:00,000 --> 00:00:02,500\nChannel 0: How are you?\n\n"
        "2\n00:00:02,000 --> 00:00:03,000\nChannel 1: Fine, thanks.\n\n"
        "3\n00:00:03,500 --> 00:00:04,500\nChannel 0: Good.\n\n"
    )
    assert "00:00:02.000 --> 00:00:03.000\n<v Channel 1>Fine, thanks.\n" in DOCUMENT.written(Form.VTT).decode()


def test_speakers_of_channels_are_named_instead_of_their_channels() -> None:
    names = ("1A", "0A", None)
    finals = [
        Final.from_wire(event | ({"speaker": name} if name else {"speaker_unsure": True}))
        for event, name in zip(EVENTS, names, strict=True)
    ]
    document = SessionTranscript("s1", finals, is_complete=True)
    assert document.written(Form.TXT).decode() == "0A: How are you?\n1A: Fine, thanks.\nChannel 0: Good.\n"
    assert "\n1A: Fine, thanks.\n" in document.written(Form.SRT).decode()
    assert "<v 1A>Fine, thanks.\n" in document.written(Form.VTT).decode()
    segments = orjson.loads(document.written(Form.JSON))["segments"]
    assert [(one["channel"], one.get("speaker")) for one in segments] == [(0, "0A"), (1, "1A"), (0, None)]


def test_label_belongs_to_the_width_of_a_line() -> None:
    long = Final.from_wire(said(0, 3, "word " * 30, 0.0, 6.0) | {"words": []})
    for cue in cues([long], labelled=True):
        assert cue.lines[0].startswith("Channel 3: ")
        assert max(map(len, cue.lines)) <= 42


def test_documents_without_channels_have_no_field_for_them() -> None:
    plain = [{name: value for name, value in event.items() if name != "channel"} for event in EVENTS]
    document = SessionTranscript("s1", [Final.from_wire(event) for event in plain], is_complete=True)
    assert b"channel" not in document.written(Form.JSON)
    assert document.written(Form.TXT).decode().splitlines() == ["Fine, thanks.", "How are you?", "Good."]


@pytest.fixture
def transcript() -> Transcript:
    """Of a recording, whose finals come in order."""
    transcript = Transcript("echo")
    added = [transcript.take(event) for event in sorted(EVENTS, key=lambda event: event["start"])]
    assert "".join(added) == transcript.text == TEXT
    transcript.take({"type": "done", "duration": 4.0})
    return transcript


def test_responses_of_both_apis_have_channels(transcript: Transcript) -> None:
    wanted = Format("transcribe", frozenset({"segment", "word"}), "verbose_json")
    body = orjson.loads(OPENAI.transcript(transcript, wanted).body)
    assert body["text"] == TEXT
    assert [one["channel"] for one in body["segments"]] == [one["channel"] for one in body["words"]] == [0, 1, 0]
    text = OPENAI.transcript(transcript, Format("transcribe", frozenset(), "text")).body
    assert bytes(text).decode().startswith("Channel 0: How are you?\nChannel 1: ")
    for granularity in ("segment", "word"):
        body = orjson.loads(MISTRAL.transcript(transcript, Format("transcribe", frozenset({granularity}))).body)
        assert [one["channel"] for one in body["segments"]] == [0, 1, 0]
