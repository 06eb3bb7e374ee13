"""The version of the installed project."""

from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("voxtral-realtime-streaming")
except PackageNotFoundError:  # run from a checkout that was not installed
    VERSION = "0+unknown"
