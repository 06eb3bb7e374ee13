"""One example of each operation of the HTTP API: what a client sends, and what the server answers.

A recording is `speech.wav` in a form, and a short silent one in JSON. The page of the API makes runnable programs of
the requests.
"""

import base64
import io
import wave
from typing import Any, Final

import orjson

from frontend.api.openapi.schemas import Schema

_TEXT: Final = "Ever tried. Ever failed."
_SRT: Final = "1\n00:00:00,400 --> 00:00:02,100\nEver tried. Ever failed.\n"
_VTT: Final = "WEBVTT\n\n00:00:00.400 --> 00:00:02.100\nEver tried. Ever failed.\n"
_SESSION_ID: Final = "5f0c2a9be1d84c70"
_CREATED: Final = 1790000000


def _silent_wav() -> str:
    recording = io.BytesIO()
    with wave.open(recording, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(160))
    return base64.b64encode(recording.getvalue()).decode()


REQUESTS: Final[Schema] = {
    "createTranscription": {"file": "speech.wav", "model": "auto", "response_format": "json"},
    "createTranslation": {"file": "speech.wav", "model": "auto", "response_format": "json"},
    "listen": "speech.wav",
    "createChatCompletion": {
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "input_audio", "input_audio": {"data": _silent_wav(), "format": "wav"}},
                    {"type": "text", "text": "What is this recording about?"},
                ],
            }
        ]
    },
    "createClientSecret": {
        "expires_after": {"anchor": "created_at", "seconds": 600},
        "session": {
            "type": "transcription",
            "audio": {"input": {"transcription": {"model": "whisper-1", "language": "en"}}},
        },
    },
}
"""By the id of the operation."""

_USAGE: Final = {"type": "duration", "seconds": 2.5}
_MODEL: Final = {
    "id": "whisper-base",
    "object": "model",
    "created": _CREATED,
    "owned_by": "voxtral-realtime-streaming",
    "type": "base",
    "capabilities": {
        "completion_chat": False,
        "audio": False,
        "audio_transcription": True,
        "audio_transcription_realtime": True,
    },
}
_VERBOSE_SEGMENT: Final = {
    "id": 0,
    "seek": 40,
    "start": 0.4,
    "end": 2.1,
    "text": _TEXT,
    "language": "english",
    "tokens": [],
    "temperature": 0.0,
    "avg_logprob": -0.21,
    "compression_ratio": 0.75,
    "no_speech_prob": 0.02,
    "confidence": 0.93,
}
_VERBOSE: Final = {
    "task": "transcribe",
    "language": "english",
    "duration": 2.5,
    "text": _TEXT,
    "segments": [_VERBOSE_SEGMENT],
    "usage": _USAGE,
}
_DIARIZED: Final = {
    "task": "transcribe",
    "duration": 2.5,
    "text": _TEXT,
    "segments": [
        {
            "type": "transcript.text.segment",
            "id": "seg_0_0",
            "start": 0.4,
            "end": 2.1,
            "text": _TEXT,
            "speaker": "A",
        }
    ],
    "usage": _USAGE,
}
_MISTRAL: Final = {
    "model": "whisper-base",
    "text": _TEXT,
    "language": "en",
    "segments": [
        {"type": "transcription_segment", "text": _TEXT, "start": 0.4, "end": 2.1, "language": "en", "confidence": 0.93}
    ],
    "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0, "prompt_audio_seconds": 3},
}


def _event(data: Any, **more: str) -> dict[str, str]:
    """A server-sent event."""
    return {**more, "data": data if isinstance(data, str) else orjson.dumps(data).decode()}


def _session_event(kind: str, seq: int, **more: Any) -> dict[str, str]:
    message = {"type": kind, "session_id": _SESSION_ID, "seq": seq, "mode": "transcribe", **more}
    return _event(message, id=str(seq), event=kind)


_END: Final = _event("[DONE]")
_CHUNK: Final = {"id": "chatcmpl-4f1c", "object": "chat.completion.chunk", "created": _CREATED, "model": "Voxtral-Mini"}
_LISTENED: Final[Schema] = {
    "metadata": {
        "request_id": "req_2f6f2c1e9d0b4a7f8e3c5d1a",
        "sha256": "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9",
        "created": "2026-11-29T09:00:00.000Z",
        "duration": 1.6,
        "channels": 1,
    },
    "results": {
        "channels": [
            {
                "alternatives": [
                    {
                        "transcript": "Hello.",
                        "confidence": 0.93,
                        "words": [
                            {"word": "hello", "start": 0.1, "end": 0.5, "confidence": 0.93, "punctuated_word": "Hello."}
                        ],
                    }
                ]
            }
        ]
    },
}
RESPONSES: Final[dict[str, dict[str, Schema]]] = {
    "listen": {"application/json": {"json": _LISTENED}},
    "createTranscription": {
        "application/json": {
            "json": {"text": _TEXT, "languages": [{"code": "en"}], "usage": _USAGE},
            "verbose_json": _VERBOSE,
            "diarized_json": _DIARIZED,
            "mistral": _MISTRAL,
        },
        "text/plain": {"text": f"{_TEXT}\n", "srt": _SRT, "vtt": _VTT},
        "text/event-stream": {
            "delta": _event({"type": "transcript.text.delta", "delta": _TEXT}),
            "done": _event({"type": "transcript.text.done", "text": _TEXT, "languages": [{"code": "en"}]}),
            "end": _END,
        },
    },
    "createTranslation": {
        "application/json": {
            "json": {"text": _TEXT},
            "verbose_json": {name: value for name, value in _VERBOSE.items() if name != "usage"}
            | {"task": "translate"},
        },
        "text/plain": {"text": f"{_TEXT}\n", "srt": _SRT, "vtt": _VTT},
    },
    "listModels": {"application/json": {"models": {"object": "list", "data": [_MODEL]}}},
    "getModel": {"application/json": {"model": _MODEL}},
    "getCallSession": {
        "application/json": {"call": {"session_id": "5f0c2a9be1d84c70", "viewer_token": "Zm9vYmFyYmF6"}}
    },
    "createChatCompletion": {
        "application/json": {
            "answer": {
                "id": "chatcmpl-4f1c",
                "object": "chat.completion",
                "created": _CREATED,
                "model": "Voxtral-Mini-3B-2507",
                "choices": [
                    {
                        "index": 0,
                        "message": {
                            "role": "assistant",
                            "content": "The speaker talks about failure.",
                            "refusal": None,
                        },
                        "logprobs": None,
                        "finish_reason": "stop",
                    }
                ],
                "usage": {"prompt_tokens": 388, "completion_tokens": 9, "total_tokens": 397},
            }
        },
        "text/event-stream": {
            "chunk": _event(
                {
                    **_CHUNK,
                    "choices": [{"index": 0, "delta": {"content": "The"}, "logprobs": None, "finish_reason": None}],
                }
            ),
            "end": _END,
        },
    },
    "createClientSecret": {
        "application/json": {
            "token": {
                "value": "ek_0123456789abcdef",
                "expires_at": _CREATED,
                "session": {
                    "id": "sess_0123456789abcdef01234567",
                    "type": "transcription",
                    "object": "realtime.transcription_session",
                    "audio": {
                        "input": {
                            "format": {"type": "audio/pcm", "rate": 24000},
                            "transcription": {"model": "whisper-1", "language": "en"},
                            "noise_reduction": None,
                            "turn_detection": {
                                "type": "server_vad",
                                "threshold": 0.5,
                                "prefix_padding_ms": 300,
                                "silence_duration_ms": 500,
                            },
                        }
                    },
                    "include": None,
                },
            }
        }
    },
    "followSession": {
        "text/event-stream": {
            "partial": _session_event("partial", 2, segment=0, text="Ever tried.", start=0.4, end=1.2),
            "final": _session_event("final", 3, segment=0, text=_TEXT, start=0.4, end=2.1, language="en"),
            "done": _session_event("done", 4, text=_TEXT, duration=2.5),
        }
    },
    "getTranscript": {
        "application/json": {
            "json": {
                "session_id": _SESSION_ID,
                "complete": True,
                "text": _TEXT,
                "segments": [
                    {"segment": 0, "start": 0.4, "end": 2.1, "text": _TEXT, "language": "en", "words": []},
                ],
            }
        },
        "text/plain": {"txt": f"{_TEXT}\n"},
        "application/x-subrip": {"srt": _SRT},
        "text/vtt": {"vtt": _VTT},
    },
}
"""By the id of the operation and the media type; several events of one stream are in their order."""
