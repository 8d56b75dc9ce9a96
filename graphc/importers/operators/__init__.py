"""What each operator of ONNX is as layers: one handler a line, by family."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from graphc.importers.operators import (
    activation,
    arithmetic,
    convolution,
    dense,
    detection,
    normalization,
    parts,
    pooling,
    products,
    recurrent,
    shape,
)

if TYPE_CHECKING:
    from graphc.importers.operators.handler import Handler

HANDLERS: Mapping[str, Handler] = {
    # convolution
    "Conv": convolution.conv,
    "ConvTranspose": convolution.conv_transpose,
    # dense
    "Gemm": dense.gemm,
    "MatMul": products.matmul,
    "Einsum": products.einsum,
    # sequence
    "LSTM": recurrent.lstm,
    "GRU": recurrent.gru,
    # pooling
    "MaxPool": pooling.max_pool,
    "LpPool": pooling.lp_pool,
    "MaxUnpool": pooling.max_unpool,
    "AveragePool": pooling.average_pool,
    "GlobalAveragePool": pooling.global_pool("global_avg_pool"),
    "GlobalMaxPool": pooling.global_pool("global_max_pool"),
    "ReduceMean": pooling.reduce_to("reduce_mean", "global_avg_pool"),
    "ReduceMax": pooling.reduce_to("reduce_max", "global_max_pool"),
    "ReduceSum": pooling.reduce_to("reduce_sum"),
    "ReduceMin": pooling.reduce_to("reduce_min"),
    "ReduceL1": pooling.reduce_to("reduce_sum", before="absolute"),
    "ReduceL2": pooling.reduce_to("reduce_sum", before="square", after="sqrt"),
    "ReduceSumSquare": pooling.reduce_to("reduce_sum", before="square"),
    # activation
    "Relu": activation.plain("relu"),
    "Sigmoid": activation.plain("sigmoid"),
    "Tanh": activation.plain("tanh"),
    "Softplus": activation.plain("softplus"),
    "HardSwish": activation.plain("hard_swish"),
    "Mish": activation.plain("mish"),
    "Softsign": activation.plain("softsign"),
    "Abs": activation.plain("absolute"),
    "Sqrt": activation.plain("sqrt"),
    "Exp": activation.plain("exp"),
    "Log": activation.plain("log"),
    "Swish": activation.swish,
    "Gelu": activation.gelu,
    "LeakyRelu": activation.leaky_relu,
    "Elu": activation.elu,
    "Selu": activation.selu,
    "HardSigmoid": activation.hard_sigmoid,
    "PRelu": activation.prelu,
    "Clip": activation.clip,
    "Softmax": activation.softmax_of("softmax"),
    "LogSoftmax": activation.softmax_of("log_softmax"),
    # normalization
    "BatchNormalization": normalization.batch_norm,
    "InstanceNormalization": normalization.instance_norm,
    "LayerNormalization": normalization.layer_norm,
    "GroupNormalization": normalization.group_norm,
    "GlobalResponseNormalization": normalization.global_response_norm,
    "LRN": normalization.local_response_norm,
    "UnitNormalization": normalization.unit_norm,
    # arithmetic
    "Add": arithmetic.add,
    "Sum": arithmetic.add,
    "Mul": arithmetic.multiply,
    "Sub": arithmetic.subtract,
    "Div": arithmetic.divide,
    "Max": arithmetic.extreme_of("maximum"),
    "Min": arithmetic.extreme_of("minimum"),
    "Mean": arithmetic.merge_of("average"),
    "Neg": arithmetic.negate,
    "Reciprocal": arithmetic.reciprocal,
    "Pow": arithmetic.power,
    # quantization
    "QuantizeLinear": shape.quantize,
    # shape
    "Identity": shape.same,
    "Dropout": shape.dropout,
    "Cast": shape.cast,
    "CastLike": shape.cast_like,
    "Transpose": shape.transpose,
    "Flatten": shape.reshape,
    "Reshape": shape.reshape,
    "Squeeze": shape.reshape,
    "Unsqueeze": shape.reshape,
    "Concat": parts.concat,
    "Slice": parts.slice_,
    "Split": parts.split,
    "Gather": parts.gather,
    "Pad": shape.pad,
    "Resize": shape.resize,
    "Upsample": shape.resize,
    "DepthToSpace": shape.depth_to_space,
    "SpaceToDepth": shape.space_to_depth,
    "ChannelShuffle": shape.channel_shuffle,
    # detection
    "LAYER": detection.recognized,
}
