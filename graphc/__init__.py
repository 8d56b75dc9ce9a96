"""graphc: write a convolutional network as YAML, get a checked ONNX file, train it with NumPy."""

__version__ = "0.1.0"
