"""What onnxruntime's WebGPU computes wrong, without an error (onnxruntime-webgpu 1.27, onnxruntime-web 1.30).

Two kinds of convolutions over one or two axes are. Of volumes it has none in groups, and is right without.
"""

from __future__ import annotations

LANES = 4
"""Numbers that its kernels take at a time."""


def is_read_in_threes(channels: int) -> bool:
    """Whether a convolution without groups, with windows of more than one pixel, reads so many channels in threes: it
    is wrong where its filters are a multiple of LANES."""
    return channels > 3 and channels % 3 == 0 and channels % LANES != 0


def is_cut_at_lanes(filters: int) -> bool:
    """Whether groups of so many filters each are cut where LANES end: a convolution of such is wrong where all its
    filters, or all its channels, are a multiple of LANES."""
    return filters > LANES and filters % LANES != 0
