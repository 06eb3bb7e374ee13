"""Environment variables of the command line. None of them is a setting of the service."""

from typing import Final

URL_VARIABLE: Final = "VOXTRAL_URL"
"""The address of the service that commands use."""
KEY_VARIABLE: Final = "VOXTRAL_KEY"
"""The key that they present to it."""
CA_VARIABLE: Final = "VOXTRAL_CA_FILE"
"""A file of certificates that they trust."""
COMMAND_VARIABLES: Final = frozenset({URL_VARIABLE, KEY_VARIABLE, CA_VARIABLE})
