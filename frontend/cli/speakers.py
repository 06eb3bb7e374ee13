"""`voxtral speakers`: the voices of known speakers, kept on this machine.

The file holds names and embeddings, no audio: the service makes the embeddings and does not keep them. Only this user
may read the file, because an embedding identifies a person.
"""

import io
import json
import os
import ssl
import wave
from collections.abc import Iterable
from pathlib import Path

from frontend.cli.failures import CommandError, SourceError
from shared.errors import VoxtralError
from shared.events import SAMPLE_RATE_HZ
from shared.voices import MAX_VOICE_S, is_embedding

ALL = "all"
SAMPLE_BYTES = 2


class SpeakersError(CommandError):
    """A speaker is not enrolled, or the file cannot be read."""


def speakers_path() -> Path:
    """The file, in the user's folder for settings."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "voxtral" / "speakers.json"


def enrolled() -> dict[str, str]:
    """The embeddings by name. Raises SpeakersError for a damaged file."""
    path = speakers_path()
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise SpeakersError(f"The file {path} cannot be read ({error}); delete it and enroll again.") from None
    if not isinstance(known, dict) or not all(isinstance(one, str) and is_embedding(one) for one in known.values()):
        raise SpeakersError(f"The file {path} holds no speakers; delete it and enroll again.")
    return known


async def enroll(name: str, source: str, *, url: str, key: str | None, tls: ssl.SSLContext | None) -> None:
    """Let the service embed the voice in a recording, and keep the embedding. Replaces one of the same name."""
    from voxtral_client import TranscriptionClient  # noqa: PLC0415 -- other commands do not need it

    beginning = await _beginning(source)
    async with TranscriptionClient(url, key=key, tls=tls) as client:
        embedding = await client.embed_voice(beginning)
    _write(enrolled() | {name: embedding})


async def _beginning(source: str) -> bytes:
    """The part of a recording that is used, as WAV. Raises SourceError."""
    from frontend.cli.recording import opened, shown  # noqa: PLC0415 -- other commands do not need it

    pcm = bytearray()
    try:
        with opened(source) as recording:
            async with recording.decoded() as blocks:
                async for block in blocks:
                    pcm += block.pcm
                    if len(pcm) >= MAX_VOICE_S * SAMPLE_RATE_HZ * SAMPLE_BYTES:
                        break
    except VoxtralError as error:
        raise SourceError(f"{shown(source)}: {error}") from None
    with io.BytesIO() as written:
        with wave.open(written, "wb") as file:
            file.setparams((1, SAMPLE_BYTES, SAMPLE_RATE_HZ, 0, "NONE", ""))
            file.writeframes(pcm)
        return written.getvalue()


def remove(names: Iterable[str]) -> None:
    """Raises SpeakersError for a name that is not enrolled; then none is removed."""
    known = enrolled()
    for name in dict.fromkeys(names):
        if known.pop(name, None) is None:
            raise SpeakersError(_unknown(name, known))
    _write(known)


def known_speakers(names: Iterable[str]) -> list[dict[str, str]]:
    """The option of a session: the enrolled speakers of these names, and all of them for `all`."""
    known = enrolled()
    found = []
    for name in dict.fromkeys(one for given in names for one in (known if given == ALL else [given])):
        if name not in known:
            raise SpeakersError(_unknown(name, known))
        found.append({"name": name, "embedding": known[name]})
    return found


def _unknown(name: str, known: Iterable[str]) -> str:
    listed = ", ".join(known) or "nobody"
    return f"No speaker {name!r} is enrolled; enrolled: {listed}. Enroll with `voxtral speakers enroll NAME FILE`."


def _write(known: dict[str, str]) -> None:
    """The file never exists half written, and never with other permissions."""
    path = speakers_path()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    unfinished = path.with_suffix(".part")
    unfinished.unlink(missing_ok=True)
    with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:  # noqa: PTH123
        json.dump(known, file, ensure_ascii=False, indent=1)
    unfinished.replace(path)
