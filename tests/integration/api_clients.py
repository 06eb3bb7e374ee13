"""Clients of the HTTP APIs for tests: SDKs, and requests that no SDK would send."""

import http.client
import io
import json
import wave
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from mistralai.client import Mistral
from numpy.typing import NDArray
from openai import OpenAI

from tests.limits import limit_s
from tests.stack import Stack

BOUNDARY = "4b7fd5"


def openai_of(stack: Stack) -> OpenAI:
    return OpenAI(base_url=f"{stack.web_url}/v1", api_key="none", max_retries=0, timeout=limit_s(30))


def mistral_of(stack: Stack) -> Mistral:
    return Mistral(server_url=stack.web_url, api_key="none")


def wav_of(pcm: NDArray[np.float32]) -> bytes:
    """The samples as a 16 kHz WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(16_000)
        writer.writeframes((pcm * 32767).astype("<i2").tobytes())
    return file.getvalue()


def silent_wav(duration_s: float) -> bytes:
    return wav_of(np.zeros(round(16_000 * duration_s), np.float32))


def multipart(file: bytes | None, **fields: str) -> tuple[dict[str, str], bytes]:
    """Headers and body of a form."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    if file is not None:
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="speech.wav"\r\n\r\n'
        parts.append(head.encode() + file + b"\r\n")
    return {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}, b"".join(
        [*parts, f"--{BOUNDARY}--\r\n".encode()]
    )


def request(
    stack: Stack,
    method: str,
    path: str,
    headers: dict[str, str] | None = None,
    body: bytes | Iterable[bytes] | None = None,
) -> tuple[http.client.HTTPResponse, bytes]:
    """Chunked if the body is an iterable."""
    connection = http.client.HTTPConnection(urlsplit(stack.web_url).netloc, timeout=limit_s(20))
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def post_form(stack: Stack, path: str, file: bytes | None, **fields: str) -> tuple[int, dict[str, Any]]:
    """The status of an upload and its JSON."""
    response, body = request(stack, "POST", path, *multipart(file, **fields))
    return response.status, json.loads(body)
