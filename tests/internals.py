"""Canaries: what a module of ours relies on inside a library, and a sentence when a new version no longer has it."""

import inspect
from collections.abc import Callable
from importlib.metadata import version
from typing import Any


class Canary:
    """`module` is the one of ours that uses the insides of the library."""

    def __init__(self, library: str, module: str) -> None:
        self._library = f"{library} {version(library)}"
        self._module = module

    def has(self, owner: object, *names: str) -> None:
        """The object, class or module has these attributes."""
        missing = [name for name in names if not hasattr(owner, name)]
        assert not missing, self._sentence(f"{self._name(owner)} has no {', '.join(missing)}")

    def takes(self, function: Callable[..., Any], *parameters: str) -> None:
        """The function has exactly these parameters, in this order."""
        found = tuple(inspect.signature(function).parameters)
        assert found == parameters, self._sentence(f"{self._name(function)} takes {found} instead of {parameters}")

    def calls(self, function: Callable[..., Any], *names: str) -> None:
        """The function uses these names: what we override is reached through it."""
        used = {*function.__code__.co_names, *function.__code__.co_varnames}
        missing = [name for name in names if name not in used]
        assert not missing, self._sentence(f"{self._name(function)} no longer uses {', '.join(missing)}")

    def holds(self, condition: bool, what: str) -> None:
        """Anything else."""
        assert condition, self._sentence(what)

    def _sentence(self, what: str) -> str:
        return f"{self._library}: {what}. Adapt {self._module}, which relies on it, before the library is updated."

    @staticmethod
    def _name(owner: object) -> str:
        return str(getattr(owner, "__qualname__", None) or getattr(owner, "__name__", None) or type(owner).__qualname__)
