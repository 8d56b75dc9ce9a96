"""The catalogue: every layer kind, one line each, below its family.

Inputs and variables of a layer have one dtype, float32 or float64, and so have its output and gradients. A kind's
module is loaded when the kind is first asked for: most specs have few of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from graphc import plugins
from graphc.errors import MachineError

if TYPE_CHECKING:
    from graphc.layers.base import Layer

FAMILIES: Mapping[str, Mapping[str, str]] = {
    "convolution": {
        "conv2d": "conv.Conv2d",
        "conv1d": "conv_ranks.Conv1d",
        "conv3d": "conv_ranks.Conv3d",
        "depthwise_conv2d": "depthwise_conv.DepthwiseConv2d",
        "depthwise_conv1d": "conv_ranks.DepthwiseConv1d",
        "depthwise_conv3d": "conv_ranks.DepthwiseConv3d",
        "separable_conv2d": "depthwise_conv.SeparableConv2d",
        "separable_conv1d": "conv_ranks.SeparableConv1d",
        "separable_conv3d": "conv_ranks.SeparableConv3d",
        "conv2d_transpose": "conv_transpose.Conv2dTranspose",
        "conv1d_transpose": "conv_transpose_ranks.Conv1dTranspose",
        "conv3d_transpose": "conv_transpose_ranks.Conv3dTranspose",
    },
    "dense": {
        "fully_connected": "fully_connected.FullyConnected",
        "bias_add": "bias_add.BiasAdd",
    },
    "pooling": {
        "max_pool2d": "pool.MaxPool2d",
        "max_pool1d": "pool_ranks.MaxPool1d",
        "max_pool3d": "pool_ranks.MaxPool3d",
        "avg_pool2d": "pool.AvgPool2d",
        "avg_pool1d": "pool_ranks.AvgPool1d",
        "avg_pool3d": "pool_ranks.AvgPool3d",
        "max_unpool2d": "unpool.MaxUnpool2d",
        "lp_pool2d": "lp_pool.LpPool2d",
        "blur_pool2d": "blur_pool.BlurPool2d",
        "global_avg_pool2d": "global_pool.GlobalAvgPool2d",
        "global_avg_pool1d": "global_pool.GlobalAvgPool1d",
        "global_avg_pool3d": "global_pool.GlobalAvgPool3d",
        "global_max_pool2d": "global_pool.GlobalMaxPool2d",
        "global_max_pool1d": "global_pool.GlobalMaxPool1d",
        "global_max_pool3d": "global_pool.GlobalMaxPool3d",
    },
    "activation": {
        "maxout": "maxout.Maxout",
        "relu": "activation.Relu",
        "relu6": "activation.Relu6",
        "leaky_relu": "activation.LeakyRelu",
        "prelu": "prelu.PRelu",
        "elu": "smooth_activation.Elu",
        "selu": "smooth_activation.Selu",
        "gelu": "smooth_activation.Gelu",
        "silu": "smooth_activation.Silu",
        "hard_sigmoid": "activation.HardSigmoid",
        "hard_swish": "activation.HardSwish",
        "sigmoid": "smooth_activation.Sigmoid",
        "tanh": "smooth_activation.Tanh",
        "softplus": "smooth_activation.Softplus",
        "mish": "smooth_activation.Mish",
        "softmax": "softmax.Softmax",
        "log_softmax": "log_softmax.LogSoftmax",
        "softsign": "smooth_activation.Softsign",
        "thresholded_relu": "activation.ThresholdedRelu",
        "hard_tanh": "activation.HardTanh",
    },
    "normalization": {
        "batch_norm": "batch_norm.BatchNorm",
        "layer_norm": "layer_norm.LayerNorm",
        "group_norm": "group_norm.GroupNorm",
        "instance_norm": "instance_norm.InstanceNorm",
        "local_response_norm": "local_response_norm.LocalResponseNorm",
        "unit_norm": "unit_norm.UnitNorm",
        "rms_norm": "rms_norm.RmsNorm",
        "layer_scale": "layer_scale.LayerScale",
        "global_response_norm": "global_response_norm.GlobalResponseNorm",
    },
    "sequence": {
        "lstm": "lstm.Lstm",
        "gru": "gru.Gru",
        "multi_head_attention": "multi_head_attention.MultiHeadAttention",
        "position_embedding": "position_embedding.PositionEmbedding",
        "class_token": "class_token.ClassToken",
    },
    "regularization": {
        "dropout": "dropout.Dropout",
        "spatial_dropout": "dropout.SpatialDropout",
        "drop_path": "dropout.DropPath",
        "gaussian_noise": "gaussian_noise.GaussianNoise",
    },
    "shape": {
        "flatten": "reshape.Flatten",
        "reshape": "reshape.Reshape",
        "transpose": "transpose.Transpose",
        "pad": "pad.Pad",
        "crop": "crop.Crop",
        "slice": "crop.Slice",
        "split": "split.Split",
        "resize": "resize.Resize",
        "roll": "roll.Roll",
        "space_to_depth": "space_to_depth.SpaceToDepth",
        "depth_to_space": "space_to_depth.DepthToSpace",
        "channel_shuffle": "channel_shuffle.ChannelShuffle",
    },
    "arithmetic": {
        "clip": "arithmetic.Clip",
        "absolute": "arithmetic.Absolute",
        "square": "arithmetic.Square",
        "sqrt": "arithmetic.Sqrt",
        "exp": "arithmetic.Exp",
        "log": "arithmetic.Log",
        "power": "arithmetic.Power",
        "reduce_mean": "reduce.ReduceMean",
        "reduce_sum": "reduce.ReduceSum",
        "reduce_max": "reduce.ReduceMax",
        "reduce_min": "reduce.ReduceMin",
        "constant": "constant.ConstantLayer",
        "coordinates": "constant.Coordinates",
    },
    "merge": {
        "concat": "merge.Concat",
        "add": "elementwise_merge.Add",
        "multiply": "elementwise_merge.Multiply",
        "subtract": "elementwise_merge.Subtract",
        "divide": "elementwise_merge.Divide",
        "maximum": "elementwise_merge.Maximum",
        "minimum": "elementwise_merge.Minimum",
        "average": "elementwise_merge.Average",
        "weighted_sum": "weighted_sum.WeightedSum",
        "greater": "compare.Greater",
        "equal": "compare.Equal",
        "matmul": "matmul.Matmul",
        "scale": "merge.Scale",
    },
    "detection": {
        "decode_deltas": "decode_boxes.DecodeDeltas",
        "decode_distances": "decode_boxes.DecodeDistances",
        "non_max_suppression": "non_max_suppression.NonMaxSuppression",
    },
}
"""Family -> what the user types -> module and class."""


class Catalogue(Mapping[str, type["Layer"]]):
    """What the user types -> the class that answers; behind graphc's own kinds those of installed packages.

    Iteration gives those that can be loaded. Asking for one that cannot is a MachineError that names the package.
    """

    def __init__(self, families: Mapping[str, Mapping[str, str]]) -> None:
        self._places = {kind: place for kinds in families.values() for kind, place in kinds.items()}

    def __getitem__(self, kind: str) -> type[Layer]:
        place = self._places.get(kind)
        return _load(place) if place is not None else _plug_in(kind)

    def __contains__(self, kind: object) -> bool:
        return kind in self._places or kind in plugins.offers(plugins.LAYERS)

    def __iter__(self) -> Iterator[str]:
        yield from self._places
        others = (kind for kind in plugins.offers(plugins.LAYERS) if kind not in self._places)
        yield from filter(_can_be_loaded, others)

    def __len__(self) -> int:
        return len(list(iter(self)))

    def is_built_in(self, kind: str) -> bool:
        return kind in self._places


@cache
def _load(place: str) -> type[Layer]:
    module, name = place.split(".")
    found: type[Layer] = getattr(import_module(f"{__name__}.{module}"), name)
    return found


def _plug_in(kind: str) -> type[Layer]:
    """A kind of another package; a KeyError where there is none."""
    from graphc.layers.base import Layer  # noqa: PLC0415  (loads pydantic)

    found = plugins.loaded(plugins.LAYERS, kind, Layer)
    if getattr(found, "family", None) not in FAMILIES:
        told = f"expected a family of {', '.join(FAMILIES)}, found {getattr(found, 'family', None)!r}"
        raise plugins.offers(plugins.LAYERS)[kind].wrong(told)
    return found


def _can_be_loaded(kind: str) -> bool:
    try:
        _plug_in(kind)
    except MachineError:
        return False
    return True


CATALOGUE = Catalogue(FAMILIES)

ACTIVATIONS: frozenset[str] = frozenset(FAMILIES["activation"])
NORMALIZERS: frozenset[str] = frozenset(FAMILIES["normalization"])
