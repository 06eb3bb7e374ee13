"""The bodies of the HTTP APIs, and what a chat request is taken for."""

from base64 import b64encode
from typing import Any

import pytest

from frontend.protocols.mistral import rest as mistral_rest
from frontend.protocols.openai import rest as openai_rest
from frontend.protocols.openai.chat import Chunks, completion, parse_chat
from frontend.transcripts.recording import Transcript
from shared.errors import InvalidAudioError, InvalidFieldError, MissingFieldError
from shared.events import Usage
from shared.session_options import Mode

AUDIO = b"RIFF...."
ENCODED = b64encode(AUDIO).decode()


def recorded(*texts: str, languages: str = "") -> tuple[Transcript, list[str]]:
    """`languages` are those of the segments, two letters each; German where they end."""
    transcript = Transcript("echo")
    added = [
        transcript.take(
            {
                "type": "final",
                "seq": seq,
                "segment": seq,
                "text": text,
                "start": seq,
                "end": seq + 0.5,
                "language": languages[2 * seq : 2 * seq + 2] or "de",
            }
        )
        for seq, text in enumerate(texts)
    ]
    transcript.take({"type": "done", "text": " ".join(filter(None, texts)), "duration": 9.2})
    return transcript, added


def test_added_texts_make_the_whole_text() -> None:
    transcript, added = recorded("Guten", "", "Tag.")
    assert added == ["Guten", "", " Tag."]
    assert transcript.text == "".join(added) == "Guten Tag."


def test_usage_is_that_of_all_answers() -> None:
    transcript, _ = recorded("Guten", "Tag.")
    assert transcript.usage == Usage(0, 0, truncated=False)
    for counts in ((380, 8, True), (400, 2, False)):
        usage = dict(zip(("prompt_tokens", "completion_tokens", "truncated"), counts, strict=True))
        transcript.take({"type": "final", "seq": 9, "segment": 9, "text": "", "start": 9, "end": 9, "usage": usage})
    assert transcript.usage == Usage(780, 10, truncated=True)


def test_warnings_are_in_every_body_and_only_where_there_are_some() -> None:
    transcript, _ = recorded("Guten")
    assert transcript.warned == {}
    assert "warnings" not in openai_rest.json_body(transcript, "transcribe")
    transcript.take({"type": "warning", "seq": 3, "code": "option_ignored", "message": "It has no prompt."})
    warnings = [{"code": "option_ignored", "message": "It has no prompt."}]
    for body in (
        openai_rest.json_body(transcript, "transcribe"),
        openai_rest.json_body(transcript, "translate"),
        openai_rest.verbose_body(transcript, "translate", {"segment"}, 0),
        mistral_rest.json_body(transcript, ()),
        completion("chatcmpl-1", 1, transcript),
    ):
        assert body["warnings"] == warnings


def test_verbose_body_leaves_out_what_has_no_text_and_what_was_not_asked_for() -> None:
    transcript, _ = recorded("Guten", "", "Tag.")
    body = openai_rest.verbose_body(transcript, "transcribe", {"segment"}, 0.5)
    assert [segment["text"] for segment in body["segments"]] == ["Guten", "Tag."]
    assert [(segment["id"], segment["seek"]) for segment in body["segments"]] == [(0, 0), (1, 200)]
    assert "words" not in body
    assert (body["language"], body["usage"]) == ("german", {"type": "duration", "seconds": 9.2})
    translated = openai_rest.verbose_body(transcript, "translate", {"word"}, 0)
    assert (translated["language"], translated["words"]) == ("english", [])
    assert "usage" not in translated
    assert "segments" not in translated


@pytest.mark.parametrize(("code", "name"), [("en", "english"), ("yue", "cantonese"), ("xx", "xx"), (None, "unknown")])
def test_language_has_openais_name(code: str | None, name: str) -> None:
    assert openai_rest.language_name(code) == name


def test_each_segment_keeps_its_language() -> None:
    transcript, _ = recorded("Guten", "", "day", "Tag.", languages="defren")
    assert openai_rest.json_body(transcript, "transcribe")["languages"] == [{"code": "de"}, {"code": "en"}]
    body = openai_rest.verbose_body(transcript, "transcribe", {"segment"}, 0)
    assert [segment["language"] for segment in body["segments"]] == ["german", "english", "german"]
    translated = openai_rest.verbose_body(transcript, "translate", {"segment"}, 0)
    assert {segment["language"] for segment in translated["segments"]} == {"english"}
    segments = mistral_rest.json_body(transcript, {"segment"})["segments"]
    assert [segment["language"] for segment in segments] == ["de", "en", "de"]
    assert b'"languages":[{"code":"de"},{"code":"en"}]' in openai_rest.done(transcript)


def test_mistral_counts_whole_seconds_rounded_up() -> None:
    assert mistral_rest.json_body(recorded("Tag.")[0], ())["usage"]["prompt_audio_seconds"] == 10


def chat(*parts: Any, **fields: Any) -> dict[str, Any]:
    return {
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": list(parts)}],
        **fields,
    }


@pytest.mark.parametrize(
    "part",
    [
        {"type": "input_audio", "input_audio": {"data": ENCODED, "format": "wav"}},
        {"type": "input_audio", "input_audio": ENCODED},
        {"type": "input_audio", "input_audio": f"data:audio/wav;base64,{ENCODED}"},
        {"type": "audio_url", "audio_url": {"url": f"data:audio/wav;base64,{ENCODED}"}},
        {"type": "audio_url", "audio_url": f"DATA:audio/x-wav;base64,{ENCODED}"},
        {"type": "UNKNOWN", "raw": {"type": "input_audio", "input_audio": {"data": ENCODED, "format": "wav"}}},
    ],
)
def test_audio_comes_in_many_shapes(part: dict[str, Any]) -> None:
    asked = parse_chat(chat(part, {"type": "text", "text": "Who?"}, max_tokens=9000))
    assert (asked.audio, asked.options.mode, asked.options.prompt) == (AUDIO, Mode.UNDERSTAND, "Be brief.\nWho?")
    assert asked.options.max_new_tokens == 4096
    assert asked.options.recording, "it counts as a recording, not as a live session"


def test_audio_alone_is_an_instruction() -> None:
    message = {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": ENCODED}]}]}
    assert parse_chat(message).options.mode is Mode.GENERAL


@pytest.mark.parametrize(
    ("message", "error", "said"),
    [
        ({}, MissingFieldError, "messages is missing"),
        ({"messages": "x"}, InvalidFieldError, "1 to 64 messages"),
        ({"messages": [{"role": "assistant", "content": "Hi"}]}, InvalidFieldError, "multi-turn conversations"),
        ({"messages": ["x"]}, InvalidFieldError, "messages.role"),
        (chat({"type": "text", "text": "Hi"}), MissingFieldError, "no audio"),
        (chat({"type": "image_url"}), InvalidFieldError, "is 'image_url'; allowed: text {text}, input_audio {"),
        (chat({"type": "input_audio", "input_audio": {"url": "x"}}), InvalidFieldError, "is 'input_audio without its "),
        ({"messages": [{"role": "user", "content": None}]}, InvalidFieldError, "is None; allowed: a string, or a list"),
        (chat(*[{"type": "input_audio", "input_audio": ENCODED}] * 2), InvalidFieldError, "one recording"),
        (chat({"type": "input_audio", "input_audio": "?"}), InvalidAudioError, "not base64"),
        (chat({"type": "audio_url", "audio_url": "file:///etc/passwd"}), InvalidFieldError, "other URLs"),
        (chat({"type": "input_audio", "input_audio": "https://x/y.wav"}), InvalidFieldError, "other URLs"),
        (chat({"type": "audio_url", "audio_url": "data:text/plain,x"}), InvalidFieldError, "in base64"),
        (chat({"type": "input_audio", "input_audio": ENCODED}, n=2), InvalidFieldError, "n is 2; allowed: 1"),
        (chat({"type": "input_audio", "input_audio": ENCODED}, max_tokens=0), InvalidFieldError, "of at least 1"),
    ],
)
def test_what_cannot_be_answered_is_refused(message: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        parse_chat(message)


def test_stream_of_chunks_ends_once() -> None:
    usage = Usage(prompt_tokens=40, completion_tokens=2, truncated=False)
    frames = Chunks("chatcmpl-1", 7, "echo").end(usage, include_usage=True).decode().split("\n\n")
    assert '"finish_reason":"stop"' in frames[0]
    assert '"choices":[],"usage":{"prompt_tokens":40,"completion_tokens":2,"total_tokens":42}' in frames[1]
    assert frames[2:] == ["data: [DONE]", ""]


def test_stream_of_mistral_names_a_new_language_and_adds_what_was_asked_for() -> None:
    transcript, _ = recorded("Guten", "", languages="de")
    said, silent = transcript.segments
    assert mistral_rest.added(silent, "", [], None) == b""
    kinds = [
        line for line in mistral_rest.added(said, "Guten", ["segment"], "de").decode().split("\n") if "event" in line
    ]
    assert kinds == [
        "event: transcription.language",
        "event: transcription.text.delta",
        "event: transcription.segment",
    ]
    assert mistral_rest.chunks(said, []) == mistral_rest.chunks(silent, ["segment"]) == []
    assert mistral_rest.chunks(said, ["word"]) == []
    assert mistral_rest.done(transcript, ["segment"]).startswith(b"event: transcription.done\ndata: {")
    assert mistral_rest.json_body(transcript, [])["usage"]["prompt_audio_seconds"] == 10


def test_stream_of_openai_ends_with_the_text_and_a_mark() -> None:
    transcript, _ = recorded("Guten", "Tag.")
    assert openai_rest.delta(transcript, "Guten").startswith(b'data: {"type":"transcript.text.delta"')
    end = openai_rest.done(transcript)
    assert b'"text":"Guten Tag."' in end
    assert end.endswith(b"data: [DONE]\n\n")
    assert openai_rest.plain_body(transcript, "text") == "Guten Tag.\n"
    assert openai_rest.plain_body(transcript, "vtt").startswith("WEBVTT")
    assert openai_rest.json_body(transcript, "translate") == {"text": "Guten Tag."}
