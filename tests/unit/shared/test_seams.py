"""How texts of successive segments are joined."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from frontend.cli.transcript import Transcript as WrittenTranscript
from frontend.protocols.deltas import TranscriptDeltas
from frontend.transcripts.document import Form, SessionTranscript
from frontend.transcripts.recording import Transcript
from shared.seams import is_decided, joined, seam
from voxtral_client.events import Final

TEXTS = st.lists(st.text("aÄ東か水。、ก่ကក안?.12 「", max_size=4).map(str.strip), max_size=5)


@pytest.mark.parametrize(
    ("before", "after", "between"),
    [
        ("Good morning.", "Hello.", " "),
        ("안녕하세요.", "반갑습니다.", " "),
        ("電車で行きます", "友達に会います", ""),
        ("ですか?", "はい", ""),
        ("今天很好。", "明天见。", ""),
        ("ｶﾞｷﾞ", "ｸﾞ", ""),
        ("𠮷野家", "𠮷野", ""),
        ("สวัสดีครับ", "ขอบคุณ", ""),
        ("ສະບາຍດີ", "ຂອບໃຈ", ""),
        ("សួស្តី", "អរគុណ", ""),
        ("မင်္ဂလာပါ", "ကျေးဇူး", ""),
        ("Hello there.", "電車で行きます", " "),
        ("電車で行きます", "Hello there.", " "),
        ("行きます。", "Hello there.", ""),
        ("He said:", "「はい」", ""),
        ("今年是", "2024年", ""),
        ("今年是", "2024 was better", " "),
        ("第3", "章", ""),
        ("第", "3", ""),
        ("Chapter 3", "章", " "),
        ("1.", "2.", " "),
        ("One ", "two", ""),
        ("", "two", ""),
        ("one", "", ""),
    ],
)
def test_characters_at_the_seam_decide(before: str, after: str, between: str) -> None:
    assert seam(before, after) == between
    assert joined([before, "", after]) == before + between + after


@given(TEXTS)
@example(["Hello", "12", "東"])
@example(["東", "12", "Hello", "…", "か"])
@example(["東", "12", "a1", "12", "か"])
def test_every_way_to_join_segments_says_the_same(texts: list[str]) -> None:
    wires = [
        {"type": "final", "seq": 1, "segment": number, "text": text, "start": 0.0, "end": 1.0}
        for number, text in enumerate(texts)
    ]
    recorded, deltas = Transcript("model"), TranscriptDeltas()
    streamed = "".join(map(recorded.take, wires))
    appended = "".join(map(deltas.hear, wires))
    finals = [Final.from_wire(wire) for wire in wires]
    document = SessionTranscript("x", finals, is_complete=True)
    assert streamed == recorded.text == appended == deltas.text == joined(texts)
    assert json.loads(WrittenTranscript("x", finals=finals).written("json"))["text"] == joined(texts)
    assert json.loads(document.written(Form.JSON))["text"] == joined(texts)
    assert document.written(Form.TXT).decode() == "".join(f"{text}\n" for text in texts if text)


@given(TEXTS, st.lists(st.integers(0, 6), max_size=3))
def test_deltas_of_partials_end_up_as_the_finals(texts: list[str], cuts: list[int]) -> None:
    deltas, appended = TranscriptDeltas(), ""
    for number, text in enumerate(texts):
        for cut in sorted(cuts):
            partial = {"type": "partial", "segment": number, "text": text, "committed": {"text": text[:cut].rstrip()}}
            appended += deltas.hear(partial)
        appended += deltas.hear({"type": "final", "segment": number, "text": text})
    assert appended == deltas.text == joined(texts)


def test_seam_waits_for_letters_where_they_decide() -> None:
    assert not is_decided("今年是", "2024")
    assert is_decided("今年是", "2024年")
    assert is_decided("This is", "2024")
