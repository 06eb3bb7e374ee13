"""Settings that have a new name: the old one still works, and a warning names both.

A source of settings (the environment, `config.yaml`) is renamed before it meets the others: an old name in the
environment wins over the new name in the file, as it did when it was new. Within one source the new name wins.
"""

import warnings
from typing import Any, Final

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

RENAMED: Final = {("session", "resume_window_s"): "rehear_s"}
"""The new key of each section's old one."""


class RenamedSettingWarning(UserWarning):
    """A setting has its old name. `shared.entry` writes it to the log."""


class RenamedSource(PydanticBaseSettingsSource):
    """The settings of `source` under their new names. `origin` names the source in warnings."""

    def __init__(self, settings_cls: type[BaseSettings], source: PydanticBaseSettingsSource, origin: str) -> None:
        super().__init__(settings_cls)
        self._source = source
        self._origin = origin

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return self._source.get_field_value(field, field_name)

    def __call__(self) -> dict[str, Any]:
        found = self._source()
        for (section, old), new in RENAMED.items():
            keys = found.get(section)
            if not isinstance(keys, dict) or old not in keys:
                continue
            found |= {section: {new: keys[old], **{key: value for key, value in keys.items() if key != old}}}
            message = f"Setting {section}.{old} (in {self._origin}) is now called {section}.{new}; rename it."
            warnings.warn(message, RenamedSettingWarning, stacklevel=2)
        return found
