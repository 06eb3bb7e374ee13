import worker  # noqa: F401 -- before NumPy is imported, as in a worker
