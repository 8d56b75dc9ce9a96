"""The one table of what runtimes cannot do, or do wrong, of what graphc writes.

A row says which nodes meet it, what happens, what was tried, and the form that works. `tests/runtimes` holds the rows
to the runtimes: what no row explains has to be right there, and what a row explains has to be wrong, or to be refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from graphc.emit.targets.seen import Seen

Effect: TypeAlias = Literal["wrong", "imprecise", "refused"]
Rewrite: TypeAlias = Literal["pad_channels", "pad_filters"]

TARGETS: Mapping[str, str] = {
    "onnxruntime": "onnxruntime on the processor, from 1.15",
    "onnxruntime-1.15": "onnxruntime 1.15, of 2023",
    "reference": "onnx.reference, ONNX's own evaluator",
    "wasm": "onnxruntime-web's WebAssembly, in browsers and Node",
    "webgpu": "onnxruntime-web's WebGPU, and onnxruntime's own",
    "openvino": "OpenVINO",
    "opencv": "OpenCV's dnn, from 4.10",
    "tract": "tract, in Rust",
    "tinygrad": "tinygrad",
    "iree": "IREE's compiler, for processors",
    "tvm": "Apache TVM",
    "mnn": "MNN, by its converter",
    "ncnn": "ncnn, by pnnx",
    "tensorrt": "TensorRT: from its documentation, nothing was run",
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


def _of(*operators: str) -> Callable[[Seen], bool]:
    return lambda seen: seen.operator in operators


def _pads_channels(seen: Seen) -> bool:
    """A plain convolution that WebGPU reads in threes."""
    channels = seen.channels
    threes = channels > 3 and channels % 3 == 0 and channels % 4 != 0
    return seen.operator == "Conv" and seen.groups == 1 and seen.has_window and threes and seen.filters % 4 == 0


def _pads_filters(seen: Seen) -> bool:
    """A grouped convolution whose groups WebGPU cuts at fours."""
    each = seen.filters // seen.groups
    in_fours = seen.filters % 4 == 0 or seen.channels % 4 == 0
    return seen.operator == "Conv" and seen.groups > 1 and each > 4 and each % 4 != 0 and in_fours


TROUBLES: tuple[Trouble, ...] = (
    Trouble(
        "channels-of-three",
        "webgpu",
        _pads_channels,
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
        _pads_filters,
        "Conv with groups of 5, 6, 7, 9, … filters, where all filters, or all channels, are a multiple of 4",
        "onnxruntime's WebGPU gives wrong numbers for such groups, without an error",
        "onnxruntime-web 1.30",
        effect="wrong",
        instead="filters of zeros in each group, to a multiple of 4, left out behind it",
        rewrite="pad_filters",
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
        "float16",
        "tract",
        lambda seen: seen.numbers == "float16",
        "float16",
        "tract does not take it",
        "0.23",
    ),
)
