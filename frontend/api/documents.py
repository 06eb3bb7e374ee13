"""What the OpenAPI document says of bodies and answers that routes read and write by themselves.

Each constant is the keyword arguments of one route. Routes check what they are sent; nothing here does.
"""

from typing import Annotated, Any, Final

from fastapi import Query

from frontend.api.errors import ApiDialect
from frontend.api.orders import FORMATS, GRANULARITIES, INCLUDES

Schema = dict[str, Any]

TEXT: Final[Schema] = {"type": "string"}
NUMBER: Final[Schema] = {"type": "number"}
INTEGER: Final[Schema] = {"type": "integer"}
FLAG: Final[Schema] = {"type": "boolean"}
NULLABLE_TEXT: Final[Schema] = {"type": ["string", "null"]}


def asked_dialect(
    dialect: Annotated[ApiDialect | None, Query(description="Whose API is meant; else it is guessed.")] = None,
) -> None:
    """A dependency of every route, so that an unknown dialect is refused and documented."""


def _object(properties: Schema, *required: str, **more: Any) -> Schema:
    return {"type": "object", "properties": properties, "required": list(required or properties), **more}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _said(schema: Schema, description: str) -> Schema:
    return {**schema, "description": description}


def _json(description: str, schema: Schema) -> Schema:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


_OPENAI_ERROR: Final = _object(
    {"error": _object({"message": TEXT, "type": TEXT, "param": NULLABLE_TEXT, "code": NULLABLE_TEXT})}
)
_MISTRAL_ERROR: Final = _object(
    {
        "object": {"const": "error"},
        "message": TEXT,
        "type": TEXT,
        "param": NULLABLE_TEXT,
        "code": NULLABLE_TEXT,
        "detail": _list(_object({"loc": _list(TEXT), "msg": TEXT, "type": TEXT})),
    },
    *("object", "message", "type", "param", "code"),
)
_RETRY_AFTER: Final = {"Retry-After": {"schema": INTEGER, "description": "Seconds after which to try again."}}


EVERYWHERE: Final = (401, 403, 413, 429)
"""What the gate of `/v1` may answer in place of any route."""


def errors(*statuses: int) -> dict[int | str, Schema]:
    """What a route answers with these statuses, and what the gate does."""
    said = {
        400: "What was sent is wrong; the message says what, and what is allowed.",
        401: "A key is needed, and none came, or one that is wrong or has expired.",
        403: "The page, or the client token, that asks may not.",
        404: "No running model answers to this name.",
        408: "The rest of the body did not come.",
        413: "The body is over the limit.",
        415: "The body is of another media type.",
        422: "A field is missing (Mistral's dialect).",
        429: "The key's limit is reached.",
        503: "No model, or no free slot, for now.",
    }
    answers: dict[int | str, Schema] = {
        status: _json(said[status], {"anyOf": [_OPENAI_ERROR, _MISTRAL_ERROR]})
        for status in sorted({*statuses, *EVERYWHERE})
    }
    for status in {429, 503} & answers.keys():
        answers[status] = answers[status] | {"headers": _RETRY_AFTER}
    return answers


_UPLOAD_ERRORS: Final = errors(400, 404, 408, 413, 415, 422, 503)

_DURATION_USAGE: Final = _object({"type": {"const": "duration"}, "seconds": NUMBER})
_WORD: Final = _object({"word": TEXT, "start": NUMBER, "end": NUMBER})
_SEGMENT: Final = _object(
    {
        "id": INTEGER,
        "seek": _said(INTEGER, "`start` in steps of 10 ms."),
        "start": NUMBER,
        "end": NUMBER,
        "text": TEXT,
        "tokens": _said(_list(INTEGER), "Always empty."),
        "temperature": _said(NUMBER, "As asked for, or 0."),
        "avg_logprob": _said(NUMBER, "Always 0: what the model did not believe it has dropped."),
        "compression_ratio": _said(NUMBER, "Bytes of the text over its bytes when compressed."),
        "no_speech_prob": _said(NUMBER, "Always 0: silence makes no segment."),
    }
)
_VERBOSE: Final = _object(
    {
        "task": {"enum": ["transcribe", "translate"]},
        "language": TEXT,
        "duration": NUMBER,
        "text": TEXT,
        "segments": _list(_SEGMENT),
        "words": _list(_WORD),
        "usage": _DURATION_USAGE,
    },
    *("task", "language", "duration", "text"),
)
_TOKEN_USAGE: Final = _object(
    {
        name: _said(INTEGER, "0: tokens are not counted.")
        for name in ("prompt_tokens", "completion_tokens", "total_tokens")
    }
)
_MISTRAL_TRANSCRIPT: Final = _object(
    {
        "model": TEXT,
        "text": TEXT,
        "language": NULLABLE_TEXT,
        "segments": _list(
            _object({"type": {"const": "transcription_segment"}, "text": TEXT, "start": NUMBER, "end": NUMBER})
        ),
        "usage": _object({**_TOKEN_USAGE["properties"], "prompt_audio_seconds": INTEGER}),
    }
)


def _events(description: str) -> Schema:
    """Server-sent events; the schema is of each."""
    return {"schema": _object({"event": TEXT, "data": TEXT}, "data", description=description)}


_TRANSCRIPT_EVENTS: Final = _events(
    "With `stream`. OpenAI: `transcript.text.delta`, `transcript.text.done`, then `[DONE]`. Mistral: "
    "`transcription.language`, `transcription.text.delta`, `transcription.segment`, `transcription.done`. "
    "Comments `: progress {received_s, heard_s}` come in between."
)


def _transcript(json_schemas: list[Schema], *, streams: bool) -> dict[int | str, Schema]:
    content: Schema = {
        "application/json": {"schema": {"anyOf": json_schemas}},
        "text/plain": {"schema": _said(TEXT, "With `response_format` text, srt or vtt.")},
    }
    if streams:
        content["text/event-stream"] = _TRANSCRIPT_EVENTS
    return {200: {"description": "The transcript.", "content": content}}


_FILE: Final = {
    "type": "string",
    "format": "binary",
    "description": "WAV, FLAC, MP3, Ogg, WebM or M4A; told by its content.",
}
_SHARED_FIELDS: Final[Schema] = {
    "file": _FILE,
    "model": _said(TEXT, "A running model, a public name such as `whisper-1`, or `auto` (the default)."),
    "prompt": _said(TEXT, "Names to expect, where the model takes a prompt."),
    "temperature": {"type": "number", "minimum": 0, "maximum": 1},
    "response_format": {"enum": list(FORMATS), "default": "json"},
    "timestamp_granularities[]": _list({"enum": list(GRANULARITIES)}),
}
_TRANSCRIPTION_FIELDS: Final[Schema] = {
    **_SHARED_FIELDS,
    "language": _said(TEXT, "An ISO 639 code; detected where there is none."),
    "stream": FLAG,
    "keywords[]": _said(_list(TEXT), "Added to the prompt."),
    "languages[]": _said(_list(TEXT), "One is taken for `language`; several are left to detection."),
    "include[]": _said(_list({"enum": list(INCLUDES)}), "Accepted; no model here tells any."),
    "context_bias": _said(_list(TEXT), "Mistral: added to the prompt."),
    "diarize": {"const": False, "description": "Mistral: sent by its SDK, which tells its requests."},
}


def _form(fields: Schema) -> Schema:
    schema = _object(fields, "file", additionalProperties=True)
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


TRANSCRIPTIONS: Final[Schema] = {
    "response_model": None,
    "responses": {
        **_transcript([_VERBOSE, _object({"text": TEXT, "usage": _DURATION_USAGE}), _MISTRAL_TRANSCRIPT], streams=True),
        **_UPLOAD_ERRORS,
    },
    "openapi_extra": _form(_TRANSCRIPTION_FIELDS),
}
TRANSLATIONS: Final[Schema] = {
    "response_model": None,
    "responses": {**_transcript([_VERBOSE, _object({"text": TEXT})], streams=False), **_UPLOAD_ERRORS},
    "openapi_extra": _form(_SHARED_FIELDS),
}

_MODEL: Final = _object(
    {
        "id": TEXT,
        "object": {"const": "model"},
        "created": _said(INTEGER, "Unix time at which this server began."),
        "owned_by": TEXT,
        "type": {"const": "base"},
        "capabilities": {"type": "object", "additionalProperties": FLAG},
    }
)
MODELS: Final[Schema] = {
    "responses": {
        200: _json("The running models.", _object({"object": {"const": "list"}, "data": _list(_MODEL)})),
        **errors(400, 422, 503),
    },
    "response_model": None,
}
MODEL: Final[Schema] = {
    "responses": {200: _json("The model.", _MODEL), **errors(400, 404, 422, 503)},
    "response_model": None,
}

_TEXT_PART: Final = _object({"type": {"const": "text"}, "text": TEXT})
_AUDIO_PART: Final = _object(
    {
        "type": {"const": "input_audio"},
        "input_audio": {
            "anyOf": [_said(TEXT, "Base64, or a data URL."), _object({"data": TEXT, "format": TEXT}, "data")]
        },
    }
)
_URL_PART: Final = _object(
    {"type": {"const": "audio_url"}, "audio_url": _object({"url": _said(TEXT, "A data URL; nothing is fetched.")})}
)
_MESSAGE: Final = _object(
    {
        "role": {"enum": ["system", "developer", "user"]},
        "content": {"anyOf": [TEXT, _list({"anyOf": [_TEXT_PART, _AUDIO_PART, _URL_PART]})]},
    }
)
_CHAT_REQUEST: Final = _object(
    {
        "model": _said(TEXT, "As in `file` uploads; it must be one that understands."),
        "messages": {**_list(_MESSAGE), "minItems": 1, "description": "One recording, and what is asked about it."},
        "stream": FLAG,
        "stream_options": _object({"include_usage": FLAG}, "include_usage"),
        "temperature": {"type": "number", "minimum": 0, "maximum": 2},
        "top_p": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
        "max_completion_tokens": {"type": "integer", "minimum": 1},
        "max_tokens": {"type": "integer", "minimum": 1},
        "n": {"const": 1},
    },
    *("messages",),
    additionalProperties=True,
)
_COMPLETION: Final = _object(
    {
        "id": TEXT,
        "object": {"const": "chat.completion"},
        "created": INTEGER,
        "model": TEXT,
        "choices": _list(
            _object(
                {
                    "index": INTEGER,
                    "finish_reason": TEXT,
                    "message": _object({"role": {"const": "assistant"}, "content": TEXT}),
                }
            )
        ),
        "usage": _TOKEN_USAGE,
    }
)
CHAT: Final[Schema] = {
    "response_model": None,
    "responses": {
        200: {
            "description": "The answer.",
            "content": {
                "application/json": {"schema": _COMPLETION},
                "text/event-stream": _events("With `stream`: chunks, then `[DONE]`."),
            },
        },
        **_UPLOAD_ERRORS,
    },
    "openapi_extra": {"requestBody": {"required": True, "content": {"application/json": {"schema": _CHAT_REQUEST}}}},
}
