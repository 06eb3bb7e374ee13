"""How well the tiny checkpoint hears words that it was never trained on: `python -m tests.tiny.evaluate`.

All through transformers' own `generate`, one thread of a CPU.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jiwer
import numpy as np
import torch
from transformers import VoxtralRealtimeFeatureExtractor, VoxtralRealtimeForConditionalGeneration

from tests.bench.figures import percentile
from tests.speech import SAMPLE_RATE_HZ, noise, silence
from tests.tiny.alignment import DRAIN_TOKENS, FRAME_MS, FRAME_SAMPLES, heard, prompt
from tests.tiny.checkpoint import DIRECTORY, read_checkpoint
from tests.tiny.scenes import Pcm, Scene, background, scene
from tests.tiny.vocabulary import LEFT_PAD_TOKENS

DELAYS_MS = (80, 160, 240, 320, 400, 480, 640, 800, 1200, 2400)
SNRS_DB = (None, 30.0, 20.0, 15.0)
GAPS_S = ((0.1, 0.15), (0.1, 1.2), (1.0, 3.0))


@dataclass(frozen=True)
class Score:
    """How one delay fared. `end_errors_ms` are of the words heard as they are: marker's middle less true end."""

    wer: float
    end_errors_ms: list[float]


def transcribe(
    model: VoxtralRealtimeForConditionalGeneration, audios: Sequence[Pcm], delay_ms: int
) -> list[list[tuple[str, int]]]:
    """The words of each audio, with the generated token of their marker (see `alignment`), in one batch."""
    delay = delay_ms // FRAME_MS
    start = prompt(delay)
    frames = -(-max(len(audio) for audio in audios) // FRAME_SAMPLES)
    samples = (LEFT_PAD_TOKENS + frames + delay + DRAIN_TOKENS) * FRAME_SAMPLES
    padded = np.zeros((len(audios), samples), np.float32)
    for row, audio in zip(padded, audios, strict=True):
        row[LEFT_PAD_TOKENS * FRAME_SAMPLES :][: len(audio)] = audio
    mel = VoxtralRealtimeFeatureExtractor()(list(padded), sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt")
    input_ids = torch.tensor([start] * len(audios))
    with torch.inference_mode():
        tokens = model.generate(
            input_ids=input_ids,
            attention_mask=torch.ones_like(input_ids),
            input_features=mel["input_features"],
            num_delay_tokens=delay,
            max_new_tokens=samples // FRAME_SAMPLES - len(start),
            do_sample=False,
        )
    return [heard(row[len(start) :].tolist()) for row in tokens]


def scored(scenes: Sequence[Scene], transcripts: Sequence[Sequence[tuple[str, int]]]) -> Score:
    """Word error rate over all scenes, and the error of each word's end."""
    texts = [" ".join(word for word, _ in transcript) for transcript in transcripts]
    aligned = jiwer.process_words([one.text for one in scenes], texts)
    errors_ms = []
    for one, transcript, chunks in zip(scenes, transcripts, aligned.alignments, strict=True):
        for chunk in chunks:
            if chunk.type == "equal":
                truth = one.words[chunk.ref_start_idx : chunk.ref_end_idx]
                said = transcript[chunk.hyp_start_idx : chunk.hyp_end_idx]
                errors_ms += [
                    (g + 0.5) * FRAME_MS - word.end_samples * 1000 / SAMPLE_RATE_HZ
                    for word, (_, g) in zip(truth, said, strict=True)
                ]
    return Score(aligned.wer, errors_ms)


def fresh_scenes(count: int, seed: int = 1000) -> list[Scene]:
    """Scenes of three to eight words with every kind of pause and noise in turn."""
    return [
        scene(
            seed + i,
            3 + i % 6,
            gap_s=GAPS_S[i % len(GAPS_S)],
            snr_db=SNRS_DB[i // len(GAPS_S) % len(SNRS_DB)],
            gain_db=(0.0, -15.0, 8.0)[i // 12 % 3],
        )
        for i in range(count)
    ]


def wordless(duration_s: float = 60.0) -> dict[str, Pcm]:
    """Sound without words, `[samples]` each."""
    generator = np.random.default_rng(7)
    samples = round(duration_s * SAMPLE_RATE_HZ)
    sounds = {
        "silence": silence(duration_s),
        "loud noise": noise(duration_s, 0.05),
        "soft noise": noise(duration_s, 5e-4),
    }
    for kind in ("pink", "brown", "breath"):
        sounds[kind] = background(kind, samples, generator) * np.float32(0.01)
    return sounds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--directory", type=Path, default=DIRECTORY)
    parser.add_argument("--scenes", type=int, default=144)
    given = parser.parse_args()
    torch.set_num_threads(1)
    model = read_checkpoint(given.directory)
    scenes = fresh_scenes(given.scenes)
    print(f"{sum(len(one.words) for one in scenes)} words in {len(scenes)} sequences")
    for delay_ms in DELAYS_MS:
        _print_delay(model, scenes, delay_ms)
    for delay_ms in (240, 480):
        _print_length(model, delay_ms)


def _print_delay(model: VoxtralRealtimeForConditionalGeneration, scenes: Sequence[Scene], delay_ms: int) -> None:
    """Errors and times over all scenes, and errors by noise."""
    batches = [[one.audio for one in scenes[i : i + 24]] for i in range(0, len(scenes), 24)]
    transcripts = [words for batch in batches for words in transcribe(model, batch, delay_ms)]
    score = scored(scenes, transcripts)
    sizes_ms = [abs(error) for error in score.end_errors_ms]
    by_noise = []
    for index, snr_db in enumerate(SNRS_DB):
        rows = [i for i in range(len(scenes)) if i // len(GAPS_S) % len(SNRS_DB) == index]
        part = scored([scenes[i] for i in rows], [transcripts[i] for i in rows])
        by_noise.append(f"{'clean' if snr_db is None else f'{snr_db:.0f} dB'} {part.wer:.1%}")
    p95_ms, most_ms, bias_ms = percentile(sizes_ms, 0.95), max(sizes_ms), np.mean(score.end_errors_ms)
    print(
        f"delay {delay_ms} ms: WER {score.wer:.2%} ({', '.join(by_noise)}), "
        f"word ends off by {np.mean(sizes_ms):.0f} ms (p95 {p95_ms:.0f}, most {most_ms:.0f}, bias {bias_ms:+.0f})",
        flush=True,
    )


def _print_length(model: VoxtralRealtimeForConditionalGeneration, delay_ms: int) -> None:
    """Errors far past all windows, and words heard where there are none."""
    long = [scene(seed, 90, gap_s=(0.1, 1.2), trail_s=2) for seed in range(3)]
    score = scored(long, transcribe(model, [one.audio for one in long], delay_ms))
    shortest_s = min(len(one.audio) for one in long) / SAMPLE_RATE_HZ
    print(f"delay {delay_ms} ms, 3 sequences of {shortest_s:.0f} s or more: WER {score.wer:.2%}")
    sounds = wordless()
    said = transcribe(model, list(sounds.values()), delay_ms)
    false = ", ".join(f"{name} {len(words)}" for name, words in zip(sounds, said, strict=True))
    print(f"delay {delay_ms} ms, false words in {len(sounds['silence']) // SAMPLE_RATE_HZ} s: {false}", flush=True)


if __name__ == "__main__":
    main()
