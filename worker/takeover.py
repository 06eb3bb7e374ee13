"""The history of a session for its new owner: retained audio, the words of finals, and committed text.

Reads Redis once, when a Remembering engine takes a session over.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray
from redis.asyncio import Redis

from shared.audio.pcm import from_s16
from shared.bus import keys
from shared.bus.audio import ENTRY_MAX_BYTES, AudioEntry, parse_entry
from shared.events import SAMPLE_RATE_HZ
from shared.word_places import spelled_words
from worker.commitment import Commitment
from worker.engine_thread import Command, Feed, Recall
from worker.engines.base import History, SettledWord
from worker.session import WorkerSession
from worker.wording.wording import Wording

ENTRY_MAX_SAMPLES: Final = ENTRY_MAX_BYTES // 2


async def past_of(
    session: WorkerSession, finals: list[dict[str, Any]], redis: Redis, window_samples: int
) -> list[Command]:
    """The commands that give the engine the last `window_samples` of audio of each channel, and their text."""
    if Wording.of(session.claim.options) is not None:
        finals = []  # they are not as the model wrote them
    commands: list[Command] = []
    for channel, opening in enumerate(session.openings):
        history, pcm = await read_history(
            redis,
            session.session_id,
            checkpoint_samples=opening.checkpoint_samples,
            window_samples=window_samples,
            finals=[final for final in finals if final.get("channel", 0) == channel],
            committed=opening.committed,
            channel=channel,
            channels=session.slots,
        )
        if len(pcm):
            commands += [Recall(opening.handle, history), Feed(opening.handle, pcm)]
        elif history.committed_text:
            commands.append(Recall(opening.handle, history))
    return commands


async def read_history(
    redis: Redis,
    session_id: str,
    *,
    checkpoint_samples: int,
    window_samples: int,
    finals: Sequence[dict[str, Any]],
    committed: Commitment,
    channel: int = 0,
    channels: int = 1,
) -> tuple[History, NDArray[np.float32]]:
    """The history of the last `window_samples` before the checkpoint, and its audio: empty if none is retained.

    `finals` are the session's, as clients see them; those without words are not used, nor those up to the last one that
    was revised. `committed` is the text that is committed after the checkpoint. If the session has several `channels`,
    all of it is of one `channel`.
    """
    found = await _entries(redis, session_id, checkpoint_samples, window_samples)
    pieces = ((entry.end_samples, np.frombuffer(entry.pcm, "<i2")[channel::channels]) for entry in found)
    start_samples, pcm = _retained(pieces, checkpoint_samples, window_samples)
    words = tuple(_words(_as_heard(finals), start_samples)) if start_samples < checkpoint_samples else ()
    return History(start_samples, words, committed.words, committed.text), pcm


async def _entries(redis: Redis, session_id: str, checkpoint_samples: int, window_samples: int) -> list[AudioEntry]:
    """The audio that is retained around and before the checkpoint."""
    wanted_samples = max(0, checkpoint_samples - window_samples)
    if wanted_samples == checkpoint_samples:
        return []
    last = checkpoint_samples + ENTRY_MAX_SAMPLES  # an entry may extend beyond the checkpoint
    found = await redis.xrange(keys.audio(session_id), f"{wanted_samples + 1}-0", f"{last}-0")
    entries = [parse_entry(cast("bytes", entry_id), fields) for entry_id, fields in found or []]
    return [entry for entry in entries if entry.pcm]


def _retained(
    pieces: Iterable[tuple[int, NDArray[np.int16]]], checkpoint_samples: int, window_samples: int
) -> tuple[int, NDArray[np.float32]]:
    """The start of the audio that is retained without a gap before the checkpoint, and that audio."""
    wanted_samples = max(0, checkpoint_samples - window_samples)
    start_samples, pcm = _unbroken(pieces, checkpoint_samples)
    skipped = min(max(0, wanted_samples - start_samples), len(pcm))
    return start_samples + skipped, from_s16(pcm[skipped:])


def _unbroken(found: Iterable[tuple[int, NDArray[np.int16]]], until_samples: int) -> tuple[int, NDArray[np.int16]]:
    """The longest part of the audio without a gap that ends at `until_samples`, and where it starts."""
    pieces: list[NDArray[np.int16]] = []
    start_samples = end_samples = until_samples
    for piece_end_samples, piece in found:
        if not pieces or piece_end_samples - len(piece) != end_samples:
            pieces, start_samples = [], piece_end_samples - len(piece)
        pieces.append(piece)
        end_samples = piece_end_samples
    if start_samples >= until_samples or end_samples < until_samples:
        return until_samples, np.empty(0, np.int16)
    return start_samples, np.concatenate(pieces)[: until_samples - start_samples]


def _as_heard(finals: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    """The finals after the last one that was revised: earlier text is not what the model wrote."""
    revised = [index for index, final in enumerate(finals) if "revised_seq" in final]
    return finals[revised[-1] + 1 :] if revised else finals


def _words(finals: Sequence[dict[str, Any]], start_samples: int) -> list[SettledWord]:
    """The words that end after a position, each with the text between it and the word before it."""
    settled: list[SettledWord] = []
    for final in finals:
        words = final.get("words") or ()
        for word, text in zip(words, spelled_words(" " + final["text"], (word["text"] for word in words)), strict=True):
            settled.append(SettledWord(text, round(word["end"] * SAMPLE_RATE_HZ)))
    return [word for word in settled if word.text and word.end_samples > start_samples]
