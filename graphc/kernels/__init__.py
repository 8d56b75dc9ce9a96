"""NumPy on arrays: they know nothing of layers.

All arrays of a call have one dtype, float32 or float64, and so have its results; an argmax is of whole numbers. What is
given is read only, unless the docstring says that it is overwritten. Letters in shapes: N examples, H rows, W columns,
C channels, F filters; H' and W' are sizes of outputs, kh and kw of a kernel, m filters for each channel.
"""
