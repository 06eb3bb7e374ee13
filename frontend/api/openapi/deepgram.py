"""The OpenAPI documentation of `POST /v1/listen`."""

from typing import Any, Final

from frontend.api.openapi.refusals import errors
from frontend.api.openapi.schemas import FLAG, INTEGER, NUMBER, TEXT, Schema, json_of, list_of, object_of, said

MEDIA_TYPES: Final = ("audio/*", "application/octet-stream")
"""Of a recording. Its own header decides what it is, so other types are accepted too."""
_WORD: Final = object_of(
    {"word": TEXT, "start": NUMBER, "end": NUMBER, "confidence": NUMBER, "punctuated_word": TEXT, "speaker": INTEGER},
    *("word", "start", "end", "confidence", "punctuated_word"),
    name="DeepgramWord",
)
_ALTERNATIVE: Final = object_of(
    {
        "transcript": TEXT,
        "confidence": said(NUMBER, "0 if the model reports none."),
        "words": list_of(_WORD),
        "paragraphs": said({"type": "object"}, "With `paragraphs=true`: a paragraph for each turn of a speaker."),
    },
    *("transcript", "confidence", "words"),
    name="DeepgramAlternative",
)
_CHANNEL: Final = object_of(
    {"alternatives": list_of(_ALTERNATIVE), "detected_language": TEXT}, "alternatives", name="DeepgramChannel"
)
_BODY: Final = object_of(
    {
        "metadata": object_of(
            {"request_id": TEXT, "sha256": TEXT, "created": TEXT, "duration": NUMBER, "channels": INTEGER}
        ),
        "results": object_of(
            {"channels": list_of(_CHANNEL), "utterances": list_of({"type": "object"})},
            "channels",
        ),
    },
    name="DeepgramTranscription",
)
_URL: Final = object_of({"url": said(TEXT, "With https, of a public host.")}, "url", name="DeepgramRecordingUrl")
_PARAMETERS: Final = {
    "model": (TEXT, "A running model. Deepgram's names (`nova-3`, …) mean the best one."),
    "language": (TEXT, "A code; absent or `multi`: detected."),
    "detect_language": (TEXT, "`true`, or the languages to choose from; the answer then has `detected_language`."),
    "smart_format": (FLAG, "Whether spoken numbers are written in digits, as with `numerals`."),
    "numerals": (FLAG, "Whether spoken numbers are written in digits."),
    "profanity_filter": (FLAG, "Whether profane words are masked."),
    "filler_words": (FLAG, "`false` leaves out words such as uh and um; by default they are kept."),
    "redact": (TEXT, "What is redacted: `pci`, `pii`, `numbers`, …"),
    "diarize": (FLAG, "Whether words have the number of their speaker."),
    "webhook": (TEXT, "A URL to which the server also sends the text, signed, if it allows webhooks."),
    "webhook_events": (TEXT, "Those of `final`, `done` and `error` that are sent; may be repeated."),
    "keyterm": (TEXT, "A term to expect; may be repeated."),
    "keywords": (TEXT, "The same with a weight, such as `Voxtral:2`; may be repeated."),
    "multichannel": (FLAG, "Whether each channel is transcribed on its own."),
    "channels": (INTEGER, "With `multichannel`, the most channels that the recording may have."),
    "utterances": (FLAG, "Whether the answer has `utterances`."),
    "paragraphs": (FLAG, "Whether the answer has `paragraphs`."),
}


def _parameter(name: str, schema: Schema, description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


LISTEN: Final[Schema] = {
    "operation_id": "listen",
    "summary": "Transcribe a recording in the format of Deepgram",
    "response_model": None,
    "responses": {200: json_of("The transcript.", _BODY), **errors(400, 408, 413, 415)},
    "openapi_extra": {
        "parameters": [_parameter(name, *described) for name, described in _PARAMETERS.items()],
        "requestBody": {
            "required": True,
            "description": "The recording, in any container, or its URL if the server permits it.",
            "content": {media: {"schema": {"type": "string", "format": "binary"}} for media in MEDIA_TYPES}
            | {"application/json": {"schema": _URL, "example": {"url": "https://voice.example/talk.mp3"}}},
        },
    },
}
