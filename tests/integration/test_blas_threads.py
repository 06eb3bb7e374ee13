"""NumPy's products in a worker."""

import os
import subprocess
import sys

from tests.stack import PROJECT

CODE = """
import os
import worker.__main__
import numpy as np
np.ones((500, 500)) @ np.ones((500, 500))
print(len(os.listdir("/proc/self/task")))
"""


def test_worker_computes_products_on_the_thread_that_needs_them() -> None:
    variables = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    done = subprocess.run([sys.executable, "-c", CODE], cwd=PROJECT, env=variables, capture_output=True, check=True)
    assert done.stdout.split() == [b"1"]
