"""The OpenAPI documentation of bodies and responses that routes read and write themselves.

Each constant is the keyword arguments of one route. The routes check requests; nothing here does.
"""

from typing import Annotated, Final

from fastapi import Query

from frontend.api.openapi.refusals import ERROR, KEYED, errors
from frontend.api.openapi.schemas import (
    CHANNEL,
    CONFIDENCE,
    FLAG,
    INTEGER,
    NULL,
    NULLABLE_TEXT,
    NUMBER,
    SPEAKER,
    TEXT,
    Schema,
    events_of,
    json_of,
    list_of,
    object_of,
    said,
)
from frontend.api.renderers import ApiDialect
from frontend.api.responses import WARNING_HEADER
from frontend.api.transcription_request import FORMATS, GRANULARITIES, INCLUDES, TRANSLATED_FORMATS
from frontend.api.upload_form import TEMPERATURE
from frontend.protocols.options import CHANNELS, OPTIONS, WEBHOOK, WORDING, schemas


def asked_dialect(
    dialect: Annotated[ApiDialect | None, Query(description="The API that the client uses; else detected.")] = None,
) -> None:
    """A dependency of every route, so that an unknown dialect is rejected and documented."""


_UPLOAD_ERRORS: Final = errors(400, 404, 408, 413, 415, 422)

_WARNINGS: Final = said(
    list_of(object_of({"code": TEXT, "message": TEXT, "start": NUMBER}, "code", "message", name="Warning")),
    "What is wrong with the recording, and where (`start`, in seconds), and which fields of the request have no "
    "effect. Left out if there is no warning.",
)
_WARNED: Final[Schema] = {
    "headers": {
        WARNING_HEADER: {"description": "The messages of all warnings, in ASCII.", "schema": TEXT, "required": False}
    }
}
_STRICT: Final = said(FLAG, "Whether a damaged recording is an error; by default its undamaged part is transcribed.")
_DURATION_USAGE: Final = object_of({"type": {"const": "duration"}, "seconds": NUMBER}, name="DurationUsage")
_USAGE_COUNTS: Final = dict.fromkeys(("input_tokens", "output_tokens", "total_tokens"), INTEGER)
_USAGE: Final = said(
    object_of(
        {"type": {"enum": ["tokens", "duration"]}, "seconds": NUMBER, **_USAGE_COUNTS},
        *("type", "seconds"),
        name="TranscriptionUsage",
    ),
    "`tokens`, with their numbers, if the model counts them.",
)
_LANGUAGES: Final = said(
    list_of(object_of({"code": TEXT}, name="DetectedLanguage")), "The detected languages, in the order of the segments."
)
_WORD: Final = object_of(
    {"word": TEXT, "start": NUMBER, "end": NUMBER, "confidence": CONFIDENCE, "channel": CHANNEL, **SPEAKER},
    *("word", "start", "end"),
    name="Word",
)
_LOGPROBS: Final = said(
    list_of(object_of({"token": TEXT, "logprob": NUMBER, "bytes": list_of(INTEGER)}, name="LogProb")),
    "With `include[]=logprobs`: one token for each word. Absent if the model reports no probabilities.",
)
_TIMED_TEXT: Final = object_of(
    {"text": TEXT, "languages": _LANGUAGES, "usage": _USAGE, "logprobs": _LOGPROBS, "warnings": _WARNINGS},
    *("text", "languages", "usage"),
    name="Transcription",
)
_SEGMENT_FIELDS: Final[Schema] = {
    "id": INTEGER,
    "seek": said(INTEGER, "`start` in steps of 10 ms."),
    "start": NUMBER,
    "end": NUMBER,
    "text": TEXT,
    "language": said(TEXT, "Its English name; each segment has its own language."),
    "tokens": said(list_of(INTEGER), "Always empty."),
    "temperature": said(NUMBER, "The requested value, or 0."),
    "avg_logprob": said(NUMBER, "Mean log-probability of the tokens; 0 if the model does not report it."),
    "compression_ratio": said(NUMBER, "Size of the text in bytes divided by its compressed size."),
    "no_speech_prob": said(NUMBER, "Probability that there is no speech; 0 if the model does not report it."),
}
_SEGMENT: Final = object_of(
    {**_SEGMENT_FIELDS, "confidence": CONFIDENCE, "channel": CHANNEL, **SPEAKER}, *_SEGMENT_FIELDS, name="Segment"
)
_VERBOSE: Final = object_of(
    {
        "task": {"enum": ["transcribe", "translate"]},
        "language": TEXT,
        "duration": NUMBER,
        "text": TEXT,
        "segments": list_of(_SEGMENT),
        "words": list_of(_WORD),
        "usage": _DURATION_USAGE,
        "warnings": _WARNINGS,
    },
    *("task", "language", "duration", "text"),
    name="VerboseTranscription",
)
_TURN: Final = object_of(
    {
        "type": {"const": "transcript.text.segment"},
        "id": TEXT,
        "start": NUMBER,
        "end": NUMBER,
        "text": TEXT,
        "speaker": said(TEXT, "`A`, `B`, …, the name of a known speaker, or `?` if the service cannot tell."),
        "channel": CHANNEL,
    },
    *("type", "id", "start", "end", "text", "speaker"),
    name="SpeakerTurn",
)
_DIARIZED: Final = object_of(
    {
        "task": {"const": "transcribe"},
        "duration": NUMBER,
        "text": TEXT,
        "segments": said(list_of(_TURN), "One for each turn of a speaker."),
        "usage": _USAGE,
        "warnings": _WARNINGS,
    },
    *("task", "duration", "text", "segments", "usage"),
    name="DiarizedTranscription",
)
_TOKEN_COUNTS: Final = ("prompt_tokens", "completion_tokens", "total_tokens")
_COUNTED: Final = {name: said(INTEGER, "0 if the model counts no tokens.") for name in _TOKEN_COUNTS}
_TOKEN_USAGE: Final = object_of(_COUNTED, name="TokenUsage")
_MISTRAL_TRANSCRIPT: Final = object_of(
    {
        "model": TEXT,
        "text": TEXT,
        "language": NULLABLE_TEXT,
        "segments": list_of(
            object_of(
                {
                    "type": {"const": "transcription_segment"},
                    "text": TEXT,
                    "start": NUMBER,
                    "end": NUMBER,
                    "language": said(TEXT, "The language of the segment, if known."),
                    "confidence": CONFIDENCE,
                    "channel": CHANNEL,
                    "speaker_id": said(TEXT, "With `diarize`, if the service can tell who spoke."),
                },
                *("type", "text", "start", "end"),
                name="MistralSegment",
            )
        ),
        "usage": object_of({**_COUNTED, "prompt_audio_seconds": INTEGER}, name="MistralUsage"),
        "warnings": _WARNINGS,
    },
    *("model", "text", "language", "segments", "usage"),
    name="MistralTranscription",
)


_PADDED: Final = (
    "JSON that takes longer than `server.keepalive_s` (15 s) from the start of decoding begins with white space, so "
    "that proxies do not cut it. After a later error the status is 200 and the body is the error object, as with other "
    "statuses, but the connection is closed without the end of the response: a complete response is a result. Text, "
    "SRT and WebVTT are not padded: behind a proxy with an idle timeout, use JSON or a stream for long recordings."
)
_TRANSCRIPT_EVENTS: Final = events_of(
    "With `stream`. OpenAI: `transcript.text.delta`, with `diarized_json` `transcript.text.segment`, "
    "`transcript.text.done`, then `[DONE]`. Mistral: "
    "`transcription.language`, `transcription.text.delta`, `transcription.segment`, `transcription.done`. "
    "Comments `: progress {received_s, heard_s}` are sent in between."
)


def _transcript(json_schemas: list[Schema], *, streams: bool) -> dict[int | str, Schema]:
    content: Schema = {
        "application/json": {"schema": {"anyOf": json_schemas}},
        "text/plain": {"schema": said(TEXT, "If `response_format` is text, srt or vtt.")},
    }
    if streams:
        content["text/event-stream"] = _TRANSCRIPT_EVENTS
    return {200: {"description": f"The transcript. {_PADDED}", "content": content, **_WARNED}}


_FILE: Final = {
    "type": "string",
    "format": "binary",
    "description": "WAV, FLAC, MP3, M4A, Ogg, WebM, or any other format that ffmpeg decodes, including videos; "
    "detected from the content. The part needs no file name.",
}
_SHARED_FIELDS: Final[Schema] = {
    "file": _FILE,
    "strict": _STRICT,
    "model": OPTIONS["model"].schema(),
    "prompt": OPTIONS["prompt"].schema(),
    "temperature": TEMPERATURE.schema(),
    "response_format": {"enum": list(TRANSLATED_FORMATS), "default": "json"},
    "timestamp_granularities[]": list_of({"enum": list(GRANULARITIES)}),
    **schemas(("keyterms", *WORDING, *CHANNELS, "diarize", "max_speakers", *WEBHOOK)),
}
_TRANSCRIPTION_FIELDS: Final[Schema] = {
    **_SHARED_FIELDS,
    "response_format": {"enum": list(FORMATS), "default": "json"},
    "language": OPTIONS["language"].schema(),
    "stream": FLAG,
    "keywords[]": said(list_of(TEXT), "OpenAI: key terms without a boost."),
    "languages[]": OPTIONS["languages"].schema(),
    "include[]": said(list_of({"enum": list(INCLUDES)}), "OpenAI, with `json`: `logprobs`, one for each word."),
    "context_bias": said(list_of(TEXT), "Mistral: key terms without a boost."),
    "chunking_strategy": said(TEXT, "OpenAI: `auto` or a `server_vad` object; has no effect."),
    "known_speaker_names[]": said(list_of(TEXT), "OpenAI, with `diarized_json`: names of speakers, at most 16."),
    "known_speaker_references[]": said(
        list_of(TEXT), "OpenAI: for each name a data URL of a recording of 1 to 10 s, of any kind."
    ),
    "speaker_references": said(TEXT, "Mistral: a JSON object of names and recordings of 1 to 10 s in base64."),
}


_LISTS: Final = (
    "A list `x[]` may also be called `x` or `x[0]`, and each field may hold several values separated by commas, or a "
    "JSON array."
)


def _form(name: str, fields: Schema) -> Schema:
    schema = object_of(fields, "file", name=name, additionalProperties=True, description=_LISTS)
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


_TRANSLATED: Final = object_of({"text": TEXT, "warnings": _WARNINGS}, "text", name="Translation")
TRANSCRIPTIONS: Final[Schema] = {
    "operation_id": "createTranscription",
    "summary": "Transcribe a recording",
    "response_model": None,
    "responses": {
        **_transcript([_DIARIZED, _VERBOSE, _TIMED_TEXT, _MISTRAL_TRANSCRIPT], streams=True),
        **_UPLOAD_ERRORS,
    },
    "openapi_extra": _form("TranscriptionRequest", _TRANSCRIPTION_FIELDS),
}
TRANSLATIONS: Final[Schema] = {
    "operation_id": "createTranslation",
    "summary": "Translate a recording into English",
    "response_model": None,
    "responses": {**_transcript([_VERBOSE, _TRANSLATED], streams=False), **_UPLOAD_ERRORS},
    "openapi_extra": _form("TranslationRequest", _SHARED_FIELDS),
}

_MODEL: Final = object_of(
    {
        "id": TEXT,
        "object": {"const": "model"},
        "created": said(INTEGER, "Unix time at which this server started."),
        "owned_by": TEXT,
        "type": {"const": "base"},
        "capabilities": {"type": "object", "additionalProperties": FLAG},
    },
    name="Model",
)
_MODEL_LIST: Final = object_of({"object": {"const": "list"}, "data": list_of(_MODEL)}, name="ModelList")
MODELS: Final[Schema] = {
    "operation_id": "listModels",
    "summary": "List the running models",
    "responses": {200: json_of("The running models.", _MODEL_LIST), **errors(400)},
    "response_model": None,
}
MODEL: Final[Schema] = {
    "operation_id": "getModel",
    "summary": "Show a running model",
    "responses": {200: json_of("The model.", _MODEL), **errors(400, 404)},
    "response_model": None,
}

_CALL_SESSION: Final = object_of({"session_id": TEXT, "viewer_token": TEXT}, name="CallSession")
CALL_STREAM: Final[Schema] = {
    "operation_id": "getCallSession",
    "summary": "Find the session of a call",
    "tags": ["Sessions"],
    "responses": {
        200: json_of("The session, and the token of its viewers.", _CALL_SESSION),
        **errors(400),
        404: json_of("No session of this key has this stream, or it ended too long ago.", ERROR),
    },
    "response_model": None,
    "dependencies": KEYED,
}

_TEXT_PART: Final = object_of({"type": {"const": "text"}, "text": TEXT}, name="TextPart")
_AUDIO_PART: Final = object_of(
    {
        "type": {"const": "input_audio"},
        "input_audio": {
            "anyOf": [said(TEXT, "Base64, or a data URL."), object_of({"data": TEXT, "format": TEXT}, "data")]
        },
    },
    name="AudioPart",
)
_URL_PART: Final = object_of(
    {
        "type": {"const": "audio_url"},
        "audio_url": object_of({"url": said(TEXT, "A data URL; others are not fetched.")}),
    },
    name="AudioUrlPart",
)
_MESSAGE: Final = object_of(
    {
        "role": {"enum": ["system", "developer", "user"]},
        "content": {"anyOf": [TEXT, list_of({"anyOf": [_TEXT_PART, _AUDIO_PART, _URL_PART]})]},
    },
    name="ChatMessage",
)
_CHAT_REQUEST: Final = object_of(
    {
        "model": said(TEXT, "As in `file` uploads; it must support the mode `understand`."),
        "messages": {**list_of(_MESSAGE), "minItems": 1, "description": "One recording, and the question about it."},
        "stream": FLAG,
        "stream_options": object_of({"include_usage": FLAG}, "include_usage"),
        "temperature": OPTIONS["temperature"].schema(),
        "top_p": OPTIONS["top_p"].schema(),
        "max_completion_tokens": {"type": "integer", "minimum": 1},
        "max_tokens": {"type": "integer", "minimum": 1},
        "n": {"const": 1},
        "strict": _STRICT,
    },
    *("messages",),
    name="ChatRequest",
    additionalProperties=True,
)
_COMPLETION: Final = object_of(
    {
        "id": TEXT,
        "object": {"const": "chat.completion"},
        "created": INTEGER,
        "model": TEXT,
        "choices": list_of(
            object_of(
                {
                    "index": INTEGER,
                    "finish_reason": {"enum": ["stop", "length"]},
                    "message": object_of({"role": {"const": "assistant"}, "content": TEXT, "refusal": NULL}),
                    "logprobs": NULL,
                },
                name="ChatChoice",
            )
        ),
        "usage": _TOKEN_USAGE,
        "warnings": _WARNINGS,
    },
    *("id", "object", "created", "model", "choices", "usage"),
    name="ChatCompletion",
)
CHAT: Final[Schema] = {
    "operation_id": "createChatCompletion",
    "summary": "Ask about a recording",
    "response_model": None,
    "responses": {
        200: {
            "description": f"The answer. {_PADDED}",
            **_WARNED,
            "content": {
                "application/json": {"schema": _COMPLETION},
                "text/event-stream": events_of("With `stream`: chunks, then `[DONE]`."),
            },
        },
        **_UPLOAD_ERRORS,
    },
    "openapi_extra": {"requestBody": {"required": True, "content": {"application/json": {"schema": _CHAT_REQUEST}}}},
}
