"""The one table of what runtimes cannot do, or do wrong, of what graphc writes.

A row says which nodes meet it, what happens, what was tried, and the form that works. `tests/runtimes` holds the rows
to the runtimes: what no row explains has to be right there, and what a row explains has to be wrong, or to be refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from graphc.emit.targets.conditions import (
    COREML,
    has_groups_cut_at_fours,
    is_read_in_threes,
    is_volume,
    picks_pixels,
)
from graphc.emit.targets.seen import Seen

Effect: TypeAlias = Literal["wrong", "imprecise", "refused"]
Rewrite: TypeAlias = Literal["pad_channels", "pad_filters", "split_groups", "slice_pixels"]

TARGETS: Mapping[str, str] = {
    "onnxruntime": "onnxruntime on the processor, from 1.15",
    "onnxruntime-1.15": "onnxruntime 1.15, of 2023",
    "reference": "onnx.reference, ONNX's own evaluator",
    "wasm": "onnxruntime-web's WebAssembly, in browsers and Node",
    "webgpu": "onnxruntime-web's WebGPU, and onnxruntime's own",
    "openvino": "OpenVINO",
    "opencv": "OpenCV's dnn, from 5.0",
    "opencv-4.10": "OpenCV 4.10, of 2024",
    "tract": "tract, in Rust",
    "tinygrad": "tinygrad",
    "iree": "IREE's compiler, for processors",
    "tvm": "Apache TVM",
    "mnn": "MNN, by its converter",
    "ncnn": "ncnn, by pnnx",
    "tensorrt": "TensorRT: from its documentation, nothing was run",
    "coreml": "onnxruntime's CoreML provider, on Apple's machines: from its documentation, nothing was run",
}
"""Name -> what it stands for."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that a runtime cannot do, or does wrong."""

    name: str
    target: str
    is_met: Callable[[Seen], bool]
    """Whether a node meets it."""
    meets: str
    """Which nodes, in words."""
    says: str
    """What happens, as the beginning of a warning."""
    tried: str
    """Versions."""
    effect: Effect = "refused"
    """`wrong`: other numbers, without an error; `imprecise`: somewhat other ones."""
    instead: str = ""
    """The form that works, in words."""
    rewrite: Rewrite | None = None
    """What writes it."""
    once: bool = False
    """Whether one warning does for a file: it is met by the numbers that it is written in, not by a layer."""


TROUBLES: tuple[Trouble, ...] = (
    Trouble(
        "channels-of-three",
        "webgpu",
        is_read_in_threes,
        "Conv without groups, with a kernel above 1, of 6, 9, 15, 18, … channels, with a multiple of 4 filters",
        "onnxruntime's WebGPU gives wrong numbers for such a convolution, without an error",
        "onnxruntime-web 1.30",
        effect="wrong",
        instead="channels of zeros, with weights of zeros, to a multiple of 4",
        rewrite="pad_channels",
    ),
    Trouble(
        "filters-of-a-group",
        "webgpu",
        has_groups_cut_at_fours,
        "Conv with groups of 5, 6, 7, 9, … filters, where all filters, or all channels, are a multiple of 4",
        "onnxruntime's WebGPU gives wrong numbers for such groups, without an error",
        "onnxruntime-web 1.30",
        effect="wrong",
        instead="filters of zeros in each group, to a multiple of 4, left out behind it",
        rewrite="pad_filters",
    ),
    Trouble(
        "groups-of-volumes",
        "webgpu",
        lambda seen: seen.operator == "Conv" and seen.groups > 1 and is_volume(seen),
        "Conv of volumes with groups",
        "onnxruntime's WebGPU has no grouped convolution of volumes",
        "onnxruntime-web 1.30",
        instead="a convolution for each group",
        rewrite="split_groups",
    ),
    Trouble(
        "recurrent-open-batch",
        "tract",
        lambda seen: seen.operator in ("LSTM", "GRU") and seen.open_batch,
        "LSTM and GRU, where the number of examples is open",
        "tract ends with a panic for any number of examples",
        "0.23",
        instead="a fixed one (--batch 1)",
    ),
    Trouble(
        "float16-dense",
        "tract",
        lambda seen: seen.operator == "Gemm" and seen.numbers == "float16",
        "Gemm (dense layers) in float16",
        "tract refuses it: it expects float32 there",
        "0.23",
        instead="those layers in float32 (--in-float)",
    ),
    Trouble(
        "float16-adapter",
        "webgpu",
        lambda seen: seen.numbers == "float16",
        "float16",
        "needs a graphics adapter with the feature shader-f16",
        "onnxruntime-web 1.30",
        instead="a file in float32 beside it",
    ),
    Trouble(
        "states",
        "opencv",
        lambda seen: seen.operator == "GRU",
        "GRU, where all states are given",
        "OpenCV leaves out the axis of directions, and ends at the Transpose behind it",
        "5.0",
    ),
    Trouble(
        "sums-in-integers",
        "opencv",
        lambda seen: seen.operator == "Relu" and seen.reads == "Add" and seen.in_integers,
        "--int8, where a sum has a ReLU: residuals",
        "OpenCV ends with an assertion of its own about buffers",
        "5.0",
        instead="float32, or --int8 weights",
    ),
    Trouble(
        "float-among-integers",
        "opencv",
        lambda seen: seen.operator == "LRN" and seen.in_integers,
        "--int8, where LRN stands between layers in integers: cifarnet",
        "OpenCV ends with an assertion of its own about types",
        "5.0",
        instead="float32, or --int8 weights",
    ),
    Trouble(
        "sequences",
        "opencv-4.10",
        lambda seen: not seen.reads and 3 in seen.ranks,
        "inputs of three axes: sequences, boxes",
        "OpenCV 4.10 takes an array of three axes for a picture with channels, and ends with an error",
        "4.10",
        instead="OpenCV 5",
    ),
    Trouble(
        "transposed-volumes",
        "opencv-4.10",
        lambda seen: seen.operator == "ConvTranspose" and len(seen.weights) == 5,
        "transposed convolutions of volumes",
        "OpenCV 4.10 does not have them",
        "4.10",
        instead="OpenCV 5",
    ),
    Trouble(
        "integers",
        "opencv-4.10",
        lambda seen: seen.operator == "QuantizeLinear",
        "--int8 (of eight nets six)",
        "OpenCV 4.10 gives numbers without sense for 8-bit integers, without an error",
        "4.10",
        effect="wrong",
        instead="float32, --int8 weights, or OpenCV 5",
        once=True,
    ),
    Trouble(
        "integers-without-vnni",
        "openvino",
        lambda seen: seen.operator == "QuantizeLinear",
        "--int8, on processors without VNNI",
        "OpenVINO cuts sums of integers off at 16 bits on processors without VNNI",
        "2026.4, on AVX2",
        effect="imprecise",
        instead="--reduce-range, or --int8 weights",
    ),
    Trouble(
        "weights-in-integers",
        "openvino",
        lambda seen: seen.operator == "DequantizeLinear" and seen.shapes[0] is not None and not seen.in_integers,
        "--int8 weights, in layers that OpenVINO computes as products of matrices, on processors with VNNI",
        "OpenVINO rounds what they read to 8 bits too",
        "2026.4, on AVX-512 VNNI",
        effect="imprecise",
        instead="its option DYNAMIC_QUANTIZATION_GROUP_SIZE: 0",
        once=True,
    ),
    Trouble(
        "last-channel",
        "reference",
        lambda seen: seen.operator == "LRN",
        "LRN",
        "onnx.reference leaves the last channel out of a sum",
        "onnx 1.23",
        effect="wrong",
    ),
    Trouble(
        "groups-transposed",
        "reference",
        lambda seen: seen.operator == "ConvTranspose" and seen.groups > 1,
        "ConvTranspose with groups",
        "onnx.reference reads the weights of all groups as those of one",
        "onnx 1.23",
    ),
    Trouble(
        "integers-before-19",
        "reference",
        lambda seen: seen.operator == "DequantizeLinear",
        "--int8, below opset 19",
        "onnx.reference has DequantizeLinear from opset 19 on alone",
        "onnx 1.23",
        instead="--opset 19",
    ),
    Trouble(
        "cubic",
        "onnxruntime-1.15",
        lambda seen: seen.operator == "Resize" and seen.attributes.get("mode") == b"cubic",
        "Resize, bicubic",
        "onnxruntime 1.15 refuses bicubic images",
        "1.15.0",
        instead="onnxruntime 1.17 or later",
    ),
    Trouble(
        "pairs",
        "mnn",
        lambda seen: seen.operator == "QuantizeLinear",
        "--int8",
        "MNN's process ends at a file with QuantizeLinear",
        "3.6",
        instead="float16, or MNN's own quantization",
        once=True,
    ),
    Trouble(
        "weights-in-integers",
        "mnn",
        lambda seen: seen.operator == "DequantizeLinear" and seen.shapes[0] is not None,
        "--int8 weights",
        "MNN gives wrong numbers for weights in integers, without an error",
        "3.6",
        effect="wrong",
        instead="float16, or MNN's own quantization",
        once=True,
    ),
    Trouble(
        "erf",
        "mnn",
        lambda seen: seen.operator in ("Erf", "Tanh"),
        "Erf (gelu), Tanh",
        "MNN has this function to about four digits",
        "3.6",
        effect="imprecise",
    ),
    Trouble(
        "transposed-volumes",
        "mnn",
        lambda seen: seen.operator == "ConvTranspose" and len(seen.weights) == 5,
        "transposed convolutions of volumes",
        "MNN gives wrong numbers for them, without an error",
        "3.6",
        effect="wrong",
    ),
    Trouble(
        "recurrent",
        "mnn",
        lambda seen: seen.operator == "LSTM",
        "LSTM",
        "MNN's process ends",
        "3.6",
    ),
    Trouble(
        "picked-pixels",
        "iree",
        lambda seen: seen.operator == "MaxPool" and picks_pixels(seen),
        "MaxPool of one pixel with a stride (shortcuts of resnet20, resnet56), where others read what it reads",
        "IREE computes for the other readers too only the pixels that such a pooling picks, without an error",
        "3.13",
        effect="wrong",
        instead="a Slice with steps",
        rewrite="slice_pixels",
    ),
    Trouble(
        "zero-points",
        "tensorrt",
        lambda seen: seen.is_unsigned,
        "--int8 with zero points (asymmetric)",
        "TensorRT takes signed integers with zero point 0 alone",
        "10, by its documentation",
        instead="--int8 symmetric",
        once=True,
    ),
    Trouble(
        "left-to-the-processor",
        "coreml",
        lambda seen: seen.operator not in COREML,
        "what its list has not: Flatten, Gather, HardSwish, LRN, LSTM, Pad, QuantizeLinear, Selu, …",
        "onnxruntime's CoreML provider does not run such operators",
        "onnxruntime's list of operators",
        instead="`--provider coreml,cpu` leaves them to the processor",
    ),
    Trouble(
        "volumes",
        "coreml",
        is_volume,
        "convolutions and poolings of volumes",
        "onnxruntime's CoreML provider has convolutions and poolings over one or two axes",
        "onnxruntime's list of operators",
        instead="`--provider coreml,cpu` leaves them to the processor",
    ),
    Trouble(
        "pixels-in-bytes",
        "ncnn",
        lambda seen: seen.operator == "Cast" and str(seen.node.doc_string).startswith("preprocessing of "),
        "--with-preprocess with bytes",
        "ncnn takes no bytes as input, and pnnx refuses the file",
        "20261020",
        instead="--raw float32",
    ),
    Trouble(
        "first-reader",
        "ncnn",
        lambda seen: seen.reads_picture and seen.operator != "Conv",
        "pictures that another layer than a convolution reads first",
        "pnnx may take another axis for the batch where no convolution reads the picture, and ncnn gives wrong numbers",
        "20261020",
        effect="wrong",
    ),
    Trouble(
        "selu",
        "ncnn",
        lambda seen: seen.operator == "Selu",
        "Selu",
        "ncnn has no such layer",
        "20261020",
    ),
    Trouble(
        "float16",
        "ncnn",
        lambda seen: seen.numbers == "float16",
        "float16",
        "ncnn does not load what pnnx makes of the file",
        "20261020",
        instead="float32: pnnx makes half precision of it itself",
        once=True,
    ),
    Trouble(
        "pairs",
        "ncnn",
        lambda seen: seen.operator == "QuantizeLinear",
        "--int8",
        "ncnn does not load what pnnx makes of the file",
        "20261020",
        instead="float32, and ncnn's own quantization",
        once=True,
    ),
)
