"""Windows that read nothing but zeros, where a plain sum of products is exactly 0.

An algorithm that transforms (Fourier, Winograd) leaves rounding errors there. They are harmless, but where a bias of 0
follows and a ReLU: on which side of 0 they lie decides whether the bias gets a gradient. Of LeNet on MNIST, whose
biases begin with 0 and whose pictures have a blank background, a bias's first gradient was 30 % off, and losses of the
first ten steps up to 0.03; now 7e-7 and, for eight steps, 6e-5. A step takes as long as before, within the 2 % that
measuring scattered: once no bias is 0 nobody looks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphc.lazy import np
from graphc.types import Array
from graphc.window import Window


def blank_windows(x: Array, windows: Sequence[Window]) -> Array | None:
    """[N, …] whether a window over x [N, …, C], along each axis between, reads zeros alone; None where none does."""
    return _where_nothing(_read, x, windows)


def blank_outputs(x: Array, windows: Sequence[Window]) -> Array | None:
    """[N, …] whether nothing but zeros is written to an output of a transposed convolution of x [N, …, C], whose
    transpose has these windows over the outputs; None where no output is."""
    return _where_nothing(_written, x, windows)


def _where_nothing(reached: Callable[[Array, Window], Array], x: Array, windows: Sequence[Window]) -> Array | None:
    there = np.abs(x) @ np.ones(x.shape[-1], x.dtype) != 0  # not a square, which may be too small to be a number
    if there.all():
        return None
    for axis, window in enumerate(windows, start=1):
        there = np.moveaxis(reached(np.moveaxis(there, axis, 0), window), 0, axis)
    return None if there.all() else ~there


def _read(there: Array, window: Window) -> Array:
    """Whether a window along the first axis reads something that is there."""
    assert window.pads is not None
    padded = np.pad(there, (window.pads, *[(0, 0)] * (there.ndim - 1)))
    found: Array = np.logical_or.reduce([padded[taps] for taps in _taps(window)])
    return found


def _written(there: Array, window: Window) -> Array:
    """Whether something that is there, a window each along the first axis, writes to an output."""
    assert window.pads is not None
    assert isinstance(window.size, int)
    padded = np.zeros((window.size + sum(window.pads), *there.shape[1:]), bool)
    for taps in _taps(window):
        padded[taps] |= there
    return padded[window.pads[0] : window.pads[0] + window.size]


def _taps(window: Window) -> list[slice]:
    """What each tap reads for all windows."""
    assert isinstance(window.output, int)
    last = (window.output - 1) * window.stride + 1
    return [slice(at, at + last, window.stride) for at in range(0, window.extent, window.dilation)]
