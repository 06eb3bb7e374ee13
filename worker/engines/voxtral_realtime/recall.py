"""The tokens that the model would have output for a known text. Pure."""

from worker.engines.base import History
from worker.engines.voxtral_realtime.prompt import Prompt
from worker.engines.voxtral_realtime.vocabulary import Vocabulary


def recalled_tokens(history: History, until_samples: int, prompt: Prompt, vocabulary: Vocabulary) -> list[int]:
    """The token about each whole frame from the history's start until `until_samples`, and until all words are written.

    A word is announced in the frame in which it ends and its text follows, as in the model's output. If a word's text
    is not complete when the next word ends, the next one waits.
    """
    tokens = [prompt.pad_token] * (max(0, until_samples - history.start_samples) // prompt.frame_samples)
    free = 0
    for word in history.words:
        first = max(free, (word.end_samples - history.start_samples) // prompt.frame_samples)
        said = [vocabulary.word_token, *vocabulary.tokens(word.text)]
        free = first + len(said)
        tokens += [prompt.pad_token] * (free - len(tokens))
        tokens[first:free] = said
    return tokens
