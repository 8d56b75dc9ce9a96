"""What every layer kind answers. Passes walk the graph; layers know their own rules.

A kind is a frozen Pydantic class. Its fields are what the user writes; its methods are its rules. Shapes are
one example's, channels last, without the batch; a size may be a formula (`graphc.dims`). Rules raise
`RuleError`; whoever asked adds the layer's name and its place in the spec. What only some kinds can do stands in
`graphc.layers.protocols`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic import ConfigDict

from graphc.dims import Dim, Shape, format_shape, is_image, is_spatial, is_static
from graphc.documented import Documented
from graphc.errors import RuleError
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.receptive_field import HERE, Reach
from graphc.types import Array, Context, Params, Step
from graphc.variables import ParamSpec


class Layer(Documented):
    """One layer kind, complete: every argument has its value."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True, arbitrary_types_allowed=True
    )

    kind: ClassVar[str]
    """What the user types."""
    family: ClassVar[str]
    """convolution, pooling, dense, normalization, activation, shape, arithmetic, merge, sequence, detection or
    regularization, which colours and tables are by."""
    positional: ClassVar[tuple[str, ...]] = ()
    """Arguments that `kind: value` and `kind: [value, value]` give, in order."""
    accepts: ClassVar[tuple[str, ...]] = ()
    """Which of `normalizer` and `activation` may be written on this layer; `expand` makes layers of them."""
    inputs_at_least: ClassVar[int] = 1
    inputs_at_most: ClassVar[int | None] = 1
    """None: any number."""
    sees_everything: ClassVar[bool] = False
    """Every output depends on the whole input plane, so its receptive field is null."""
    sees_nothing: ClassVar[bool] = False
    """The output is the same whatever numbers the input has: it says how many examples there are, and of what size."""
    reaches: ClassVar[int | None] = None
    """How many of its inputs `reach` is told of, the first ones; None: all."""
    elementwise: ClassVar[bool] = False
    """y[i] depends on x[i] alone (or on x[i] and its channel): flatten may be absorbed through it."""
    view: ClassVar[bool] = False
    """The output is the input's numbers in the same order: nothing is computed."""
    absorbs_order: ClassVar[bool] = False
    """Its weights are emitted through `build.in_channel_order`, so that a flattened image may reach it as it lies."""
    donates_output: ClassVar[bool] = False
    """Output is an array of its own that backward does not read: the next layer may write over it."""
    is_sum: ClassVar[bool] = False
    """The output is the sum of the inputs and nothing else: what they are may be added before."""
    gives: ClassVar[str] = ""
    """What its outputs are, where they cannot be just any number, as a word for a warning."""
    costly: ClassVar[str] = ""
    """What this kind costs more than it looks, as a sentence for a warning."""
    full_precision: ClassVar[str] = ""
    """Why half precision is not enough for what it computes; empty where its operators decide."""

    @property
    def follows(self) -> str | None:
        """The layer or input whose height and width the output takes, by name: one more input, the last, of which
        nothing but the size is read."""
        return None

    @property
    def undoes(self) -> str | None:
        """The layer whose work this one undoes, by name: what that one reads are further inputs of this one."""
        return None

    def undoing(self, other: Layer | None) -> Layer:
        """This layer with what it takes over of the one that it undoes; None is an input of the graph."""
        raise NotImplementedError(self.kind)

    def in_force(self, argument: str) -> Any:
        """An argument's value, or what it comes to where it was left out."""
        return getattr(self, argument)

    def fitted(self, *inputs: Shape) -> Layer:
        """This layer with every argument that depends on its inputs' sizes as a number; all other rules are asked of
        such a layer."""
        return self

    def infer_shape(self, *inputs: Shape) -> Shape:
        """The output's shape; the first input's where a kind does not say otherwise."""
        return inputs[0]

    def reach(self, *inputs: Shape) -> tuple[Reach, ...]:
        """For each spatial axis of the output (such as height and width), which positions of its input it sees."""
        return (HERE,) * (len(inputs[0]) - 1)

    def sees_all(self, *inputs: Shape) -> Sequence[bool]:
        """Of each input whether every output depends on its whole plane."""
        return (self.sees_everything,) * len(inputs)

    def declare_params(self, *inputs: Shape) -> dict[str, ParamSpec]:
        """The variables this layer needs, by local name, in the order in which TF-Slim makes them."""
        return {}

    @classmethod
    def may_have_variables(cls) -> bool:
        """Whether there is any layer of this kind that has variables."""
        return cls.declare_params is not Layer.declare_params

    def mixes_channels(self, *inputs: Shape) -> bool:
        """Whether every output is a weighted sum over several channels: two such layers with nothing but a linear one
        between them do hardly more than one."""
        return False

    def count_macs(self, *inputs: Shape) -> int:
        """Multiply-accumulates for one example of static shape: of convolutions and matrix products only."""
        return 0

    def count_flops(self, *inputs: Shape) -> int:
        """Floating-point operations for one example, as TensorFlow's profiler counts them: two a MAC, one an
        element for bias and addition, kernel area an element for pooling, none for ReLU and batch norm."""
        return 2 * self.count_macs(*inputs)

    def does_nothing(self, *inputs: Shape) -> bool:
        """Whether in inference the output is the input: dropout, padding by 0, a sum of one."""
        return False

    def flattens(self, *inputs: Shape) -> bool:
        """Whether the output is all of an image as one axis, in the order height, width, channels."""
        return False

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        """This layer as ONNX nodes, in inference; images are [N, C, H, W] inside, volumes [N, C, D, H, W], sequences as
        `Value.channels_first` says. Params are by local name, in their declared shapes."""
        raise NotImplementedError(self.kind)

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        """This layer on arrays [N, …] (batch first, channels last), with its backward, from dy of the output's shape.
        Inputs, `params` (by local name, in their declared shapes) and dy are read only, unless `context.inplace` lets
        the first input be overwritten."""
        raise NotImplementedError(self.kind)


def spatial(shape: Shape, kind: str) -> tuple[Shape, int]:
    """The sizes of the spatial axes and the channels of a sequence, an image or a volume, or an error that says what
    is missing."""
    if not is_spatial(shape):
        forms = "length×channels, height×width×channels or depth×height×width×channels"
        raise RuleError("G201", f"{kind} expects {forms}, got {format_shape(shape)}")
    return shape[:-1], channels(shape, kind)


def image(shape: Shape, kind: str) -> tuple[Dim, Dim, int]:
    """Height, width and channels of an image-shaped input, or an error that says what is missing."""
    if not is_image(shape):
        advice = ""
        if len(shape) == 2:
            advice = f"; an image of one channel is {format_shape((*shape, 1))}, sequences have layers with 1d"
        elif len(shape) == 4:
            advice = "; volumes and clips have layers with 3d"
        found = format_shape(shape)
        raise RuleError("G201", f"{kind} expects an image (height, width, channels), got {found}{advice}")
    height, width, channels = shape
    if not isinstance(channels, int):
        raise RuleError("G201", f"{kind} expects a fixed number of channels, got {channels}")
    return height, width, channels


def channels(shape: Shape, kind: str) -> int:
    """The last axis, or an error where there is none or its size is a symbol."""
    if not shape or not isinstance(shape[-1], int):
        raise RuleError("G201", f"{kind} expects a fixed number of channels, got {format_shape(shape)}")
    return shape[-1]


def sequence(shape: Shape, kind: str) -> tuple[Dim, int]:
    """Length and channels of a sequence, or an error that says what is missing."""
    if len(shape) != 2:
        advice = "; reshape: [-1, C] makes one of an image" if is_image(shape) else ""
        raise RuleError("G201", f"{kind} expects a sequence (length, channels), got {format_shape(shape)}{advice}")
    return shape[0], channels(shape, kind)


def static(shape: Shape, kind: str) -> tuple[int, ...]:
    """The shape as integers, or an error that names the symbolic size."""
    if not is_static(shape):
        raise RuleError("G205", f"{kind} needs fixed sizes, got {format_shape(shape)}; set the resolution")
    return shape  # type: ignore[return-value]


def elements(shape: Shape) -> int:
    """How many numbers one example of this static shape has."""
    count = 1
    for size in shape:
        assert isinstance(size, int)
        count *= size
    return count


MOST_MADE = 2**26
"""Numbers that a layer makes besides its variables, its inputs and its output: 256 MiB."""


def check_made(count: int, what: str, argument: str | None = None) -> None:
    """A RuleError where a layer would hold so many numbers of its own, or fill so many with zeros."""
    if count > MOST_MADE:
        raise RuleError("G207", f"expected at most {MOST_MADE:,} numbers {what}, got {count:,}", argument)


def by_channel(vector: Array, value: Value) -> Array:
    """Numbers for each channel, [C], so that they meet the channels of `value` as it lies: [C, 1, 1] of an image."""
    return vector.reshape(-1, *(1,) * (len(value.shape) - 1)) if value.channels_first else vector


def scalar(build: OnnxBuilder, name: str, value: float) -> str:
    """A float32 constant of rank 0."""
    return build.constant(name, np.asarray(value, np.float32))
