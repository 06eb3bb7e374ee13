"""Lengths of the windows that are embedded, and how many finals are kept."""

from typing import Final

LENGTH_SAMPLES: Final = 25_600
"""Of a window: 1.6 s, as the encoder was trained with."""
STEP_SAMPLES: Final = 6_400
SHORTEST_SAMPLES: Final = 6_400
"""Speech of less than 0.4 s has no window."""
REMEMBERED_FINALS: Final = 50
"""Finals whose labels may still change."""
