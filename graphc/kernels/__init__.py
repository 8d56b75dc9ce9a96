"""NumPy on arrays: they know nothing of layers."""
