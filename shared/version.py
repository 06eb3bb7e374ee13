"""The version of this release. It is defined only here, so that a checkout knows it without Git and pip."""

from typing import Final

VERSION: Final = "0.2.0"
