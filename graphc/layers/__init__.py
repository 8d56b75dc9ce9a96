"""The catalogue: every layer kind, one line each.

Inputs and variables of a layer have one dtype, float32 or float64, and so have its output and gradients.
"""

from __future__ import annotations

from graphc.layers.activation import HardSigmoid, HardSwish, LeakyRelu, Relu, Relu6
from graphc.layers.base import Layer
from graphc.layers.batch_norm import BatchNorm
from graphc.layers.bias_add import BiasAdd
from graphc.layers.channel_shuffle import ChannelShuffle
from graphc.layers.conv import Conv2d
from graphc.layers.conv_transpose import Conv2dTranspose
from graphc.layers.crop import Crop, Slice
from graphc.layers.depthwise_conv import DepthwiseConv2d, SeparableConv2d
from graphc.layers.dropout import Dropout
from graphc.layers.fully_connected import FullyConnected
from graphc.layers.global_pool import GlobalAvgPool2d, GlobalMaxPool2d
from graphc.layers.group_norm import GroupNorm
from graphc.layers.instance_norm import InstanceNorm
from graphc.layers.layer_norm import LayerNorm
from graphc.layers.layer_scale import LayerScale
from graphc.layers.local_response_norm import LocalResponseNorm
from graphc.layers.maxout import Maxout
from graphc.layers.merge import Add, Concat, Multiply, Scale
from graphc.layers.pad import Pad
from graphc.layers.pool import AvgPool2d, MaxPool2d
from graphc.layers.prelu import PRelu
from graphc.layers.reshape import Flatten, Reshape
from graphc.layers.resize import Resize
from graphc.layers.smooth_activation import Elu, Gelu, Mish, Selu, Sigmoid, Silu, Softplus, Tanh
from graphc.layers.softmax import Softmax
from graphc.layers.space_to_depth import DepthToSpace, SpaceToDepth
from graphc.layers.unit_norm import UnitNorm

LAYERS: tuple[type[Layer], ...] = (
    Conv2d,
    DepthwiseConv2d,
    SeparableConv2d,
    Conv2dTranspose,
    FullyConnected,
    BiasAdd,
    MaxPool2d,
    AvgPool2d,
    GlobalAvgPool2d,
    GlobalMaxPool2d,
    Maxout,
    Relu,
    Relu6,
    LeakyRelu,
    PRelu,
    Elu,
    Selu,
    Gelu,
    Silu,
    HardSigmoid,
    HardSwish,
    Sigmoid,
    Tanh,
    Softplus,
    Mish,
    Softmax,
    BatchNorm,
    LayerNorm,
    GroupNorm,
    InstanceNorm,
    LocalResponseNorm,
    UnitNorm,
    LayerScale,
    Dropout,
    Flatten,
    Reshape,
    Pad,
    Crop,
    Slice,
    Resize,
    SpaceToDepth,
    DepthToSpace,
    ChannelShuffle,
    Concat,
    Add,
    Multiply,
    Scale,
)

CATALOGUE: dict[str, type[Layer]] = {layer.kind: layer for layer in LAYERS}
"""What the user types -> the class that answers."""

ACTIVATIONS: frozenset[str] = frozenset(layer.kind for layer in LAYERS if layer.family == "activation")
NORMALIZERS: frozenset[str] = frozenset(layer.kind for layer in LAYERS if layer.family == "normalization")
