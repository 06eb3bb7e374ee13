"""The Python client under its former name: `from frontend.client import TranscriptionClient`.

Its code is a distribution of its own, `voxtral-client`, in `frontend/client/src/voxtral_client`.
"""

from voxtral_client import *  # noqa: F403
from voxtral_client import __all__ as __all__
