"""`voxtral speakers`: the voices of known speakers, kept on this machine.

The file holds names and embeddings, no audio: the service makes the embeddings and does not keep them. Only this user
may read the file, because an embedding identifies a person.
"""

import json
import os
import ssl
from collections.abc import Iterable
from pathlib import Path

from frontend.cli.failures import CommandError
from shared.voices import is_embedding

ALL = "all"


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
    from frontend.cli.recording import opened  # noqa: PLC0415 -- other commands need neither
    from voxtral_client import TranscriptionClient  # noqa: PLC0415

    with opened(source) as recording:
        content, _ = await recording.content()
    async with TranscriptionClient(url, key=key, tls=tls) as client:
        embedding = await client.embed_voice(content)
    _write(enrolled() | {name: embedding})


def remove(names: Iterable[str]) -> None:
    """Raises SpeakersError for a name that is not enrolled; then none is removed."""
    known = enrolled()
    for name in names:
        if known.pop(name, None) is None:
            raise SpeakersError(_unknown(name, known))
    _write(known)


def known_speakers(names: Iterable[str]) -> list[dict[str, str]]:
    """The option of a session: the enrolled speakers of these names, or all of them for `all`."""
    known = enrolled()
    if list(names) == [ALL]:
        names = known
    found = []
    for name in names:
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
