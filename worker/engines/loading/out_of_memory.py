"""Reports too little memory at start in one sentence. Knows the errors of the model libraries, and imports none."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from shared.errors import StartupError

WORDS: Final = ("out of memory", "can't allocate memory", "alloc_failed", "failed to allocate")


@contextmanager
def memory_needed(*, device: str, slots: int | None) -> Iterator[None]:
    """Turn an out-of-memory error into a `StartupError` that names `model.slots`; `slots` is None for the default."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        lower = f", such as {slots // 2}" if slots and slots > 1 else ""
        raise StartupError(
            f"{'This machine' if device == 'cpu' else device} has too little memory for "
            f"{slots or 'the default number of'} slots besides the model; set model.slots lower{lower}, or free some "
            "memory."
        ) from error


def is_out_of_memory(error: BaseException) -> bool:
    """For a GPU it is a class of torch or an error of a library; for a CPU it is recognised by its message."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return any(words in str(error).lower() for words in WORDS)
