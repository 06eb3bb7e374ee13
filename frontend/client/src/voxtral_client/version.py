"""The version of this distribution: that of the server whose protocol it speaks. A test of the server compares them."""

from typing import Final

VERSION: Final = "0.2.0"
