"""Transcribe recordings with WhisperLive's own client; prints a line of JSON for each, as `tests.plugins` reads it.

python whisperlive.py ws://host:port 0.wav 1.wav …
"""

import contextlib
import json
import sys
import types
from pathlib import Path
from urllib.parse import urlsplit


class NoAudioDevice:
    """The part of PyAudio that the client uses even if it reads a file."""

    def open(self, **_options: object) -> None:
        raise OSError("no device")

    def terminate(self) -> None:
        """There is nothing to end."""


def main(url: str, *files: str) -> None:
    sys.modules["pyaudio"] = types.SimpleNamespace(PyAudio=NoAudioDevice, paInt16=8)  # type: ignore[assignment]
    from whisper_live.client import TranscriptionClient

    address = urlsplit(url)
    for index, file in enumerate(files):
        with contextlib.redirect_stdout(sys.stderr):
            client = TranscriptionClient(
                address.hostname,
                address.port,
                lang="en",
                mute_audio_playback=True,
                output_transcription_path=str(Path(file).with_suffix(".srt")),
            )
            client.client.disconnect_if_no_response_for = 6  # seconds, after which the client ends its audio
            client(file)
        lines = [f"final: {segment['text'].strip()}" for segment in client.client.transcript]
        print(json.dumps([index, "WhisperLive", lines]), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
