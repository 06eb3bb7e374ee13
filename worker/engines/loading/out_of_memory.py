"""Too little memory while an engine starts, in one sentence. Knows how the model libraries say it, and imports none."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from shared.errors import StartupError

WORDS: Final = ("out of memory", "can't allocate memory", "alloc_failed", "failed to allocate")


@contextmanager
def memory_needed(*, device: str, slots: int | None) -> Iterator[None]:
    """Turns too little memory into a `StartupError` that names `model.slots`; `slots` is None for the default."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        lower = f", such as {slots // 2}" if slots and slots > 1 else ""
        raise StartupError(
            f"The memory of {'this machine' if device == 'cpu' else device} does not suffice for "
            f"{slots or 'the default number of'} slots beside the model; set model.slots lower{lower}, or free some "
            "memory."
        ) from error


def is_out_of_memory(error: BaseException) -> bool:
    """A GPU's is a class of torch or an error of a library; a CPU's is told by its words."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return any(words in str(error).lower() for words in WORDS)
