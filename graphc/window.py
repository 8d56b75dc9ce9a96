"""A sliding window along one axis, resolved once: the only padding arithmetic in graphc.

Shape, receptive field, ONNX attributes and NumPy kernels all read a resolved `Window`, so they cannot disagree.

- `same`: TensorFlow's rule. The output is ceil(size/stride); the odd pixel goes after.
- `valid`: no padding.
- `same_fixed`: TF-Slim's conv2d_same. dilation*(kernel - 1) pixels in all, (total // 2) before, whatever the
  size; with stride 1 equal to `same`.
- `(before, after)`: explicit pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, TypeAlias, Union

from graphc.dims import Dim, residues
from graphc.errors import RuleError

REMEMBERED = 4096
"""Windows that are remembered."""
AxisPadding: TypeAlias = Union[Literal["same", "valid", "same_fixed"], tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Window:
    """One axis of a convolution or pooling: how `output` positions read `size` input positions."""

    size: Dim
    kernel: int
    stride: int
    dilation: int
    output: Dim
    pads: tuple[int, int] | None
    """Pixels (before, after); None where `same` depends on a size that is still a symbol."""
    before: int | None
    """Pixels before; can be known where `pads` is not (stride 2 with an even kernel)."""

    @property
    def extent(self) -> int:
        """Pixels from the first to the last tap, both included."""
        return (self.kernel - 1) * self.dilation + 1

    @staticmethod
    @lru_cache(REMEMBERED)
    def over(size: Dim, kernel: int, stride: int = 1, padding: AxisPadding = "valid", dilation: int = 1) -> Window:
        """The same one for the same arguments: every rule of a layer asks for it, and layers repeat."""
        extent = (kernel - 1) * dilation + 1
        if padding == "same":
            rests = residues(size, stride)
            shortest = rests[0] or (rests[1] if len(rests) > 1 else stride)
            longest = rests[-1] if rests[0] else stride
            least, most = max(extent - longest, 0), max(extent - shortest, 0)
            total = least if least == most else extent - 1  # as many after as there can be add no window
            before = least // 2 if least // 2 == most // 2 else None
            pads = None if before is None else (before, total - before)
            return Window(size, kernel, stride, dilation, (size + stride - 1) // stride, pads, before)
        if padding == "valid":
            pads = (0, 0)
        elif padding == "same_fixed":
            pads = ((extent - 1) // 2, extent - 1 - (extent - 1) // 2)
        else:
            pads = padding
        padded = size + pads[0] + pads[1]
        if isinstance(padded, int) and padded < extent:
            dilated = f" (dilation {dilation} spreads it over {extent})" if dilation > 1 else ""
            raise RuleError(
                "G203", f"kernel={kernel}{dilated} is larger than its input of {padded} with padding", "kernel"
            )
        return Window(size, kernel, stride, dilation, (padded - extent) // stride + 1, pads, pads[0])

    def rounded_up(self) -> Window:
        """This window with what is missing of a last one added after: PyTorch's `ceil_mode`, where a window that
        would lie in the padding after alone is left out."""
        assert self.pads is not None
        before, after = self.pads
        padded = self.size + before + after
        rests = residues(padded, self.stride)
        apart = rests.step if len(rests) > 1 else self.stride
        # of an open size as much as there can be, which adds no window where it is not needed
        more = (self.extent - rests[0]) % apart + self.stride - apart
        if after + more >= self.extent:
            if len(rests) > 1:
                message = f"ceil_mode=true with stride={self.stride} over a kernel of {self.extent} needs a fixed size"
                raise RuleError("G205", f"{message}, got {self.size}", "ceil_mode")
            return self
        output = (padded + more - self.extent) // self.stride + 1
        return replace(self, output=output, pads=(before, after + more))


@dataclass(frozen=True, slots=True)
class TransposedWindow:
    """One axis of a transposed convolution: each of `size` inputs writes `kernel` outputs, `dilation` apart, and the
    next input so, `stride` outputs further on.

    With extent = (kernel - 1)*dilation + 1, `same` gives size*stride outputs, `valid` size*stride + max(extent -
    stride, 0), explicit padding (size - 1)*stride + extent - before - after + output_padding: TensorFlow's and
    PyTorch's rules.
    """

    size: Dim
    kernel: int
    stride: int
    output: Dim
    pads: tuple[int, int]
    """Outputs cut off (before, after); `after` can be negative where outputs are added."""
    dilation: int = 1

    @property
    def extent(self) -> int:
        """Outputs from the first to the last tap, both included."""
        return (self.kernel - 1) * self.dilation + 1

    @staticmethod
    def over(
        size: Dim,
        kernel: int,
        stride: int = 1,
        padding: AxisPadding = "valid",
        output_padding: int = 0,
        dilation: int = 1,
    ) -> TransposedWindow:
        extent = (kernel - 1) * dilation + 1
        full = (size - 1) * stride + extent
        if padding in ("same", "same_fixed"):
            cut = extent - stride
            pads = (max(cut, 0) // 2, cut - max(cut, 0) // 2)
        elif padding == "valid":
            pads = (0, min(extent - stride, 0))
        else:
            assert isinstance(padding, tuple)
            pads = (padding[0], padding[1] - output_padding)
        output = full - pads[0] - pads[1]
        if isinstance(output, int) and output < 1:
            raise RuleError("G203", f"padding={list(padding)} leaves nothing of the {full} outputs", "padding")
        return TransposedWindow(size, kernel, stride, output, pads, dilation)
