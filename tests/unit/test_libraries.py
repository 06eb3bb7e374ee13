import sys

import pytest

from shared.errors import StartupError
from worker.engines.libraries import VOXTRAL_LIBRARIES, require_voxtral_libraries


def test_installed_libraries_are_enough() -> None:
    require_voxtral_libraries("owner/model")


@pytest.mark.parametrize("library", VOXTRAL_LIBRARIES)
def test_missing_library_is_named(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    package = library.replace("_", "-")
    with pytest.raises(StartupError, match=rf"'owner/model', which needs the package {package}, .*voxtral\.txt"):
        require_voxtral_libraries("owner/model")
