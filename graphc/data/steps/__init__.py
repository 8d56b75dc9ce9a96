"""Steps of preprocessing, one line a kind: what each learns from the training set, does to images, and is in an ONNX
file.

    preprocess: {steps: [rescale, {standardize: {per: channel}}]}

A step's ONNX form is a list of `graphc.emit.operations` on one running value, N H W C.
"""

from __future__ import annotations

from graphc.data.steps.base import Step
from graphc.data.steps.sizes import CenterCrop, Letterbox, Resize
from graphc.data.steps.values import Center, Channels, MinMaxScale, Rescale, Standardize, Whiten

STEPS: tuple[type[Step], ...] = (
    Rescale,
    Center,
    Standardize,
    MinMaxScale,
    Whiten,
    Resize,
    CenterCrop,
    Letterbox,
    Channels,
)
"""What a recipe's `preprocess: {steps: …}` may list."""
