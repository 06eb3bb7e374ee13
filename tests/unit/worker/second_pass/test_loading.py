"""Settings of the second model that cannot be right stop the start and are named."""

from pathlib import Path
from typing import Any

import pytest

from shared.config.settings import Settings
from shared.errors import StartupError
from worker.second_pass.loading import load_second


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"model": {"second": "large"}}, "Setting model.second is 'large'; allowed: null, whisper-tiny.en"),
        ({"model": {"second": "whisper"}}, "model.second_path is not set"),
        ({"model": {"second": "whisper", "second_path": "/nowhere"}}, "Setting model.second_path is '/nowhere'"),
        ({"model": {"second_path": "/nowhere"}}, "but model.second is not set"),
        ({"session": {"revise": True}}, "Setting session.revise is true, but model.second is not set"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(StartupError) as caught:
        load_second(Settings(**settings))
    assert named in str(caught.value)


def test_no_second_model_loads_nothing(tmp_path: Path) -> None:
    assert load_second(Settings()) is None
