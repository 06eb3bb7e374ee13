"""Accuracy and latency of words on recorded speech: `python -m tests.bench real-speech`.

Measures on any folder with a manifest (`clips`), which SPEECH names. OFFSETS, in milliseconds, are silences before a
clip: where its windows fall changes with each, and errors are added up. Streams run on a virtual clock (`virtual_time`)
and end with the last sound of their clip.
"""

import argparse
import os
from collections.abc import Sequence

import numpy as np

from shared.session_options import SessionOptions
from tests.bench import processors, service_speech
from tests.bench.alignment import last_sound_samples, long_token_ends
from tests.bench.clips import Clip, SpeechFolderError, load_clips
from tests.bench.figures import Figure
from tests.bench.scoring import edits, normalised
from tests.bench.screen import Script, measured
from tests.bench.speech_results import STREAMS, Result, figures, lines_of_clips, lines_of_groups
from tests.bench.transcripts import Offline, Transcript, transcribe_recording
from tests.bench.virtual_time import Clock, play
from tests.speech import noise, silence
from tests.whisper_engines import load
from worker.engines.whisper.engine import WhisperEngine

THREADS = 2
OFFSETS_MS = "0 80 160 240"


def measure(arguments: argparse.Namespace) -> list[Figure]:
    """`arguments`: `service`, `isa` and `clock` of the command line. No figures if there are no clips."""
    try:
        clips = load_clips(os.environ.get("SPEECH"))
        offsets_ms = _offsets_ms()
    except (SpeechFolderError, ValueError) as error:
        print(f"real-speech is skipped: {error}.", flush=True)
        return []
    if arguments.isa:
        return processors.spread(os.environ["SPEECH"])
    engine = load(threads=THREADS, slots=max(STREAMS))
    engine.warm_up()
    results = _transcribed(engine, clips)
    if arguments.service:
        del engine
        return service_speech.measure([(one, script(one, 0)) for one in results])
    cpu_shares = {streams: _play(engine, arguments.clock, results, offsets_ms, streams) for streams in STREAMS}
    print("\n".join([*lines_of_clips(results), *lines_of_groups(results)]), flush=True)
    return figures(results, cpu_shares)


def _offsets_ms() -> list[int]:
    given = os.environ.get("OFFSETS") or OFFSETS_MS
    if not given.split() or not all(one.isdecimal() for one in given.split()):
        raise ValueError(f"OFFSETS is {given!r}; allowed: milliseconds, separated by spaces")
    return [int(one) for one in given.split()]


def script(result: Result, offset_ms: int) -> Script:
    """The clip up to its last sound, after some silence."""
    start = silence(offset_ms / 1000)
    clip = result.clip
    pcm = np.concatenate([start, clip.pcm[: last_sound_samples(clip.pcm)]])
    ends_samples = [None if end is None else min(len(start) + end, len(pcm)) for end in result.ends_samples]
    return Script(pcm, clip.words, ends_samples, clip.language)


def _transcribed(engine: WhisperEngine, clips: Sequence[Clip]) -> list[Result]:
    """Each clip by both ways to transcribe a recording, one after the other, and where its words end."""
    offline = Offline(THREADS)
    offline.transcribe(noise(1.0), "en")
    results = []
    for clip in clips:
        expected = offline.transcribe(clip.pcm, clip.language)
        found = transcribe_recording(engine, clip.pcm, clip.language)
        ends_samples = long_token_ends(engine._decoder, clip.pcm, clip.text, clip.language, found.words)
        result = Result(clip, expected, found, ends_samples, _errors(clip, expected), _errors(clip, found))
        results.append(result)
    return results


def _errors(clip: Clip, transcript: Transcript) -> int:
    return edits(clip.words, normalised(transcript.text, clip.language))


def _play(
    engine: WhisperEngine, clock_kind: str, results: Sequence[Result], offsets_ms: Sequence[int], streams: int
) -> float:
    """All clips at all offsets. Adds what was seen to the results; returns CPU seconds for a second of audio."""
    played = [(result, script(result, offset_ms)) for offset_ms in offsets_ms for result in results]
    clock = Clock(engine, clock_kind)
    options = [SessionOptions(language=one.language) for _, one in played]
    screens, _, _ = play(engine, clock, [one for _, one in played], options, streams, refill=True)
    for (result, one), screen in zip(played, screens, strict=True):
        result.live[streams].add(measured(one, screen))
    return clock.cpu_s / clock.audio_s
