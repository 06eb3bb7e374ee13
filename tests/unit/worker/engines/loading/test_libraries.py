import sys

import pytest

from shared.errors import StartupError
from worker.engines.loading.libraries import VOXTRAL_LIBRARIES, require_sherpa_library, require_voxtral_libraries


def test_installed_libraries_are_enough() -> None:
    require_voxtral_libraries("owner/model")


@pytest.mark.parametrize("library", VOXTRAL_LIBRARIES)
def test_missing_library_is_named(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    package = library.replace("_", "-")
    with pytest.raises(StartupError, match=rf"'owner/model', which needs the package {package}, .*voxtral\.txt"):
        require_voxtral_libraries("owner/model")


def test_missing_sherpa_is_named_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    require_sherpa_library("sherpa")
    monkeypatch.setitem(sys.modules, "sherpa_onnx", None)
    sentence = (
        r"'sherpa:live', which needs the package sherpa-onnx, .* `\.venv/bin/pip install --editable '\.\[sherpa\]'`"
    )
    with pytest.raises(StartupError, match=sentence):
        require_sherpa_library("sherpa:live")
