"""What a layer says of its variables."""

from __future__ import annotations

from dataclasses import dataclass

from graphc.initializers import Initializer
from graphc.regularizers import Regularizer

SPATIAL_LETTERS = {1: "W", 2: "HW", 3: "DHW"}
"""Number of a window's axes -> what they are called in `ParamSpec.axes`."""


@dataclass(frozen=True, slots=True)
class ParamSpec:
    """A variable that a layer needs: `shape` in TF-Slim's layout (HWIO for convolutions), integers only."""

    shape: tuple[int, ...]
    initializer: Initializer
    trainable: bool = True
    regularizer: Regularizer | None = None
    measured: bool = False
    """A range of what goes through the network, which is measured whatever else is frozen."""
    smallest: float | None = None
    """The least value that the layer can use: 0 of a variance."""
    axes: str = ""
    """What its axes are: HWIO of a convolution's weights (WIO along sequences, DHWIO of volumes), HWCM of a depthwise
    one's (channel and multiplier), HWOI of a transposed one's, IO of a matrix, O of its biases; empty of numbers for
    each channel of the input. Files of other libraries are read by this."""
