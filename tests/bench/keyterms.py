"""What key terms change: `python -m tests.bench.keyterms`.

Prints how many rare names Whisper base finds, and the errors of the other words: without terms, with the terms of all
sentences, with 200 terms among which these are, and with 200 terms that nobody says; as recordings and live. With
SPEECH=folder, recorded speech with the 200 terms that nobody says, too. `--chosen` measures the sentences that settings
were chosen on.
"""

import argparse
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jiwer
import numpy as np
from numpy.typing import NDArray

from shared.session_options import KeyTerm, SessionOptions
from tests.bench.clips import Clip, SpeechFolderError, load_clips
from tests.bench.rare_names import ABSENT, CHOSEN_ON, REPORTED, Sentence
from tests.bench.scoring import normalised
from tests.engine_sessions import heard, text_of
from tests.speech import silence, synthesise
from tests.whisper_engines import load
from worker.engines.whisper.engine import WhisperEngine

SEEDS = (0, 1)
MANY = 200
LIVE_CHUNK_SAMPLES = 8000
Pcm = NDArray[np.float32]
Terms = tuple[KeyTerm, ...] | None


@dataclass
class Score:
    """Counts over all sentences."""

    terms: int = 0
    found: int = 0
    other_words: int = 0
    other_errors: int = 0
    false_terms: int = 0
    """Terms in texts whose speech does not contain them."""
    cpu_s: float = 0.0

    def add(self, text: str, reference: str, spoken: Sequence[str], listed: Terms) -> None:
        words, wanted = normalised(text), normalised(reference)
        names = {part for term in spoken for part in normalised(term)}
        aligned = jiwer.process_words([" ".join(wanted)], [" ".join(words) or "-"])
        wrong = 0
        for chunk in aligned.alignments[0]:
            if chunk.type == "insert":
                wrong += chunk.hyp_end_idx - chunk.hyp_start_idx
            elif chunk.type != "equal":
                wrong += sum(word not in names for word in wanted[chunk.ref_start_idx : chunk.ref_end_idx])
        self.terms += len(spoken)
        self.found += sum(_contains(words, term) for term in spoken)
        self.other_words += sum(word not in names for word in wanted)
        self.other_errors += wrong
        absent = [one.term for one in listed or () if not _contains(wanted, one.term)]
        self.false_terms += sum(_contains(words, term) for term in absent)

    def line(self, name: str) -> str:
        recall = f"terms found {self.found} of {self.terms}" if self.terms else "no terms spoken"
        rate = self.other_errors / max(1, self.other_words)
        others = f"errors in other words {self.other_errors} of {self.other_words} ({rate:.1%})"
        return f"{name:34s} {recall}; {others}; false terms {self.false_terms}; {self.cpu_s:.1f} s of processor time"


def listed(terms: Sequence[str], boost: float | None = None) -> Terms:
    return tuple(KeyTerm(term) if boost is None else KeyTerm(term, boost) for term in terms)


def conditions(sentences: Sequence[Sentence], boost: float | None) -> dict[str, Terms]:
    spoken = list(dict.fromkeys(term for one in sentences for term in one.terms))
    many = [*spoken, *ABSENT][:MANY]
    return {
        "without terms": None,
        f"{len(spoken)} terms, all spoken": listed(spoken, boost),
        f"{len(many)} terms, {len(spoken)} spoken": listed(many, boost),
        f"{MANY} terms, none spoken": listed(ABSENT, boost),
    }


def recorded(engine: WhisperEngine, pcm: Pcm, terms: Terms, language: str = "en") -> str:
    options = SessionOptions(language=language, partials=False, recording=True, keyterms=terms)
    return text_of(heard(engine, pcm, options, 16_000))


def live(engine: WhisperEngine, pcm: Pcm, terms: Terms, language: str = "en") -> str:
    return text_of(heard(engine, pcm, SessionOptions(language=language, keyterms=terms), LIVE_CHUNK_SAMPLES))


WAYS: dict[str, Callable[..., str]] = {"recordings": recorded, "live": live}


def measured(
    engine: WhisperEngine, way: str, sentences: Sequence[Sentence], terms: Terms, seeds: Sequence[int]
) -> Score:
    score = Score()
    for seed in seeds:
        for one in sentences:
            pcm = np.concatenate([silence(0.5), synthesise(one.text, seed=seed), silence(1.0)])
            started_s = time.process_time()
            text = WAYS[way](engine, pcm, terms)
            score.cpu_s += time.process_time() - started_s
            score.add(text, one.text, one.terms, terms)
    return score


def real_speech(engine: WhisperEngine, way: str, clips: Sequence[Clip], terms: Terms) -> Score:
    """The errors of clips in languages that are compared by words."""
    score = Score()
    for clip in clips:
        started_s = time.process_time()
        text = WAYS[way](engine, clip.pcm, terms, clip.language)
        score.cpu_s += time.process_time() - started_s
        score.add(text, clip.text, (), terms)
    return score


def _contains(words: Sequence[str], term: str) -> bool:
    wanted = normalised(term)
    return any(list(words[start : start + len(wanted)]) == wanted for start in range(len(words)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chosen", action="store_true", help="the sentences that settings were chosen on")
    parser.add_argument("--boost", type=float, help="of every term; the default if unset")
    parser.add_argument("--ways", nargs="*", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--only-speech", action="store_true", help="only recorded speech")
    arguments = parser.parse_args()
    engine = load(threads=2)
    engine.warm_up()
    sentences = CHOSEN_ON if arguments.chosen else REPORTED
    for way in arguments.ways:
        for name, terms in conditions(sentences, arguments.boost).items():
            if not arguments.only_speech:
                print(measured(engine, way, sentences, terms, SEEDS).line(f"{way}, {name}"), flush=True)
    try:
        clips = [
            clip for clip in load_clips(os.environ.get("SPEECH")) if clip.language in ("en", "de", "fr", "es", "it")
        ]
    except SpeechFolderError as error:
        print(f"recorded speech is skipped: {error}.")
        return
    for way in arguments.ways:
        for name, terms in {"without terms": None, f"{MANY} terms": listed(ABSENT, arguments.boost)}.items():
            print(real_speech(engine, way, clips, terms).line(f"{way}, recorded speech, {name}"), flush=True)


if __name__ == "__main__":
    main()
