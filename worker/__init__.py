"""Workers: they take sessions from the store, decode their audio, and publish the text."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
"""NumPy reads it when it is imported. Its products are small. Measured: a spectrogram of 8 s takes 2.7 ms with one
thread; with two, up to 68 ms if other work keeps the cores busy, because one thread waits for the other."""
