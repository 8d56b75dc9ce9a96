"""Which operators a training graph may have, by where it is to run.

From onnxruntime's own lists of kernels for float32 at opset 17 (CPU, CUDA) and, for WebGPU, from running them one by
one. An operator without a kernel falls to the CPU there, with a copy each way, or fails when the graph is run.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

Target: TypeAlias = Literal["cpu", "cuda", "webgpu"]

EVERYWHERE = frozenset(
    {
        "Abs", "Add", "AveragePool", "BatchNormalization", "Cast", "Ceil", "Clip", "Concat", "Conv", "ConvTranspose",
        "Cos", "DepthToSpace", "Div", "Elu", "Equal", "Erf", "Exp", "Expand", "Flatten", "Floor", "Gather", "Gemm",
        "GlobalAveragePool", "GlobalMaxPool", "Greater", "HardSigmoid", "Identity", "LeakyRelu", "Less", "Log",
        "MatMul", "MaxPool", "Mul", "Neg", "Pad", "Pow", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum",
        "ReduceSumSquare", "Relu", "Reshape", "Resize", "Sigmoid", "Sin", "Slice", "Softmax", "Split", "Sqrt",
        "Squeeze", "Sub", "Tanh", "ThresholdedRelu", "Transpose", "Unsqueeze",
    }
)  # fmt: skip
NATIVE = frozenset(
    {
        "CumSum", "HardSwish", "LogSoftmax", "Max", "Min", "Round", "Selu", "Softplus", "Softsign", "SpaceToDepth",
        "Sum", "TopK",
    }
)  # fmt: skip
"""What CPU and CUDA have besides."""
TRAINING_OPERATORS: dict[Target, frozenset[str]] = {
    "cpu": EVERYWHERE | NATIVE,
    "cuda": EVERYWHERE | NATIVE,
    "webgpu": EVERYWHERE,
}
"""By target: what a graph for it may have."""
