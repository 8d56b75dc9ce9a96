"""Conditions of the table that take more than a line: which nodes meet a trouble."""

from __future__ import annotations

from graphc.emit import webgpu
from graphc.emit.targets.seen import Seen

COREML = frozenset(
    {
        *("Add", "ArgMax", "AveragePool", "Cast", "Ceil", "Clip", "Concat", "Conv", "ConvTranspose", "Cos"),
        *("DepthToSpace", "Div", "Elu", "Erf", "Exp", "GatherND", "Gelu", "Gemm", "GlobalAveragePool"),
        *("GlobalMaxPool", "GridSample", "GroupNormalization", "HardSigmoid", "Identity", "InstanceNormalization"),
        *("LayerNormalization", "LeakyRelu", "MatMul", "Max", "MaxPool", "Mul", "PRelu", "Pow", "Range", "Reciprocal"),
        *("ReduceMax", "ReduceMean", "ReduceSum", "Relu", "Reshape", "Resize", "Round", "Shape", "Sigmoid", "Sin"),
        *("Slice", "Softmax", "Softplus", "Split", "Sqrt", "Squeeze", "Sub", "Tanh", "Tile", "Transpose", "Unsqueeze"),
    }
)
"""Operators that onnxruntime lists for its CoreML provider (form MLProgram)."""


NCNN_LACKS = frozenset(
    {
        *("DepthToSpace", "Equal", "GRU", "Greater", "LSTM", "NonMaxSuppression", "ReduceMax", "ReduceMin", "Selu"),
        *("Softsign", "ThresholdedRelu"),
    }
)
"""Operators with which ncnn does not load what pnnx makes of a file."""


SHOWS_BATCH = frozenset(
    {
        *("AveragePool", "BatchNormalization", "Conv", "ConvTranspose", "Gemm", "GlobalAveragePool"),
        *("GlobalMaxPool", "InstanceNormalization", "MaxPool"),
    }
)
"""Operators by which pnnx knows which axis the batch is, wherever they stand."""


def has_no_batch(seen: Seen) -> bool:
    """What reads an input, in a file of which pnnx does not know which axis the batch is."""
    told = seen.operator == "Transpose" or seen.operator in NCNN_LACKS - {"ReduceMax"}
    return seen.reads_input and seen.operators.isdisjoint(SHOWS_BATCH) and not told


def sums_over_an_axis(seen: Seen) -> bool:
    """But for global response norm, which sums what has one pixel: that is right in ncnn."""
    return seen.operator == "ReduceSum" and seen.shapes[1] == (1,) and seen.reads != "Sqrt"


def is_volume(seen: Seen) -> bool:
    """A convolution or a pooling over three axes."""
    kernel = seen.attributes.get("kernel_shape", ())
    return seen.operator in ("Conv", "AveragePool", "MaxPool") and (len(seen.weights) == 5 or len(kernel) == 3)


def is_read_in_threes(seen: Seen) -> bool:
    """A plain convolution that WebGPU reads in threes."""
    plain = seen.operator == "Conv" and seen.groups == 1 and not is_volume(seen)
    in_lanes = seen.filters % webgpu.LANES == 0
    return plain and seen.has_window and webgpu.is_read_in_threes(seen.channels) and in_lanes


def has_groups_cut_at_fours(seen: Seen) -> bool:
    """A grouped convolution whose groups WebGPU cuts at fours."""
    in_lanes = seen.filters % webgpu.LANES == 0 or seen.channels % webgpu.LANES == 0
    grouped = seen.operator == "Conv" and seen.groups > 1 and not is_volume(seen)
    return grouped and webgpu.is_cut_at_lanes(seen.filters // seen.groups) and in_lanes


def has_computed_sizes(seen: Seen) -> bool:
    """What pads or resizes by numbers that no constant gives, or picks as many pixels."""
    place = {"Pad": 1, "Resize": 3}.get(seen.operator, len(seen.shapes))
    computed = place < len(seen.shapes) and seen.shapes[place] is None
    return computed or (seen.operator, seen.reads) == ("Mul", "Range")


def scaled_axes(seen: Seen) -> int:
    """How many axes, with batch and channels, a Resize by scales has; 0 of anything else, which is given sizes."""
    if seen.operator != "Resize" or len(seen.shapes) > 3:
        return 0
    scales = seen.shapes[2]
    return scales[0] if scales else 0


def picks_pixels(seen: Seen) -> bool:
    """A pooling that leaves pixels out."""
    kernel, strides = seen.attributes.get("kernel_shape", ()), seen.attributes.get("strides", ())
    return all(size == 1 for size in kernel) and any(step > 1 for step in strides) and not seen.has_edges
