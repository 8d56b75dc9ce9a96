"""What an algorithm for convolutions has to offer. Each is a class in a module of its own, and a line in
`algorithms.ALGORITHMS`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from graphc.kernels.conv.problem import ConvProblem
from graphc.kernels.pixels import Block, Chunk, Chunks, Consume, OutputGradient, hwnc_to_nhwc, nhwc_to_hwnc
from graphc.kernels.unfold import Pair
from graphc.lazy import np
from graphc.types import Array, Context

ONE_PIXEL = (1, 1)
"""The window of outputs that no pooling reads."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Yes or no, and why."""

    yes: bool
    reason: str

    def __bool__(self) -> bool:
        return self.yes


class ConvAlgorithm(ABC):
    """A way to compute a convolution and its two gradients.

    x is N H W C, w is kh kw C/groups F, y and dy are N H' W' F, of one dtype, float32 or float64, with the sizes that
    the problem says. Results are new arrays, of the context's workspace; arguments stay as they are. Sums are taken
    in an order that depends on the problem alone.
    """

    name: ClassVar[str]
    shares_gradients: ClassVar[bool] = False
    """Whether `gradients` makes both in less than they take one by one."""
    transforms: ClassVar[bool] = False
    """Whether sums are not those of products of x with w, so that zeros alone leave rounding errors."""

    @abstractmethod
    def supports(self, problem: ConvProblem) -> Verdict:
        """Whether it computes this, forward and both gradients; else what is in its way."""

    @abstractmethod
    def pays(self, problem: ConvProblem) -> Verdict:
        """Whether it is the one to take of those after it in the table, and why; of problems that it supports."""

    @abstractmethod
    def forward(self, context: Context, problem: ConvProblem, x: Array, w: Array) -> Array:
        """y [N, H', W', F], a new array: every window of x [N, H, W, C] times the filters w [kh, kw, C/groups, F]."""

    @abstractmethod
    def weight_gradient(self, context: Context, problem: ConvProblem, x: Array, dy: Array) -> Array:
        """dw [kh, kw, C/groups, F]: windows of x [N, H, W, C] times dy [N, H', W', F], summed over pixels and the
        batch."""

    def input_gradient(self, context: Context, problem: ConvProblem, dy: Array, w: Array) -> Array:
        """dx [N, H, W, C]: each output's gradient, dy [N, H', W', F], spread over its window through w [kh, kw,
        C/groups, F]. Unless said otherwise the `transposed` convolution."""
        assert problem.transposed is not None, f"{self.name} supports what it has no input gradient for"
        return self.forward(context, problem.transposed, dy, turned(w))

    def gradients(self, context: Context, problem: ConvProblem, x: Array, dy: Array, w: Array) -> tuple[Array, Array]:
        """dx [N, H, W, C] and dw [kh, kw, C/groups, F] from x, dy [N, H', W', F] and w."""
        dw = self.weight_gradient(context, problem, x, dy)
        return self.input_gradient(context, problem, dy, w), dw


class BlockwiseConvAlgorithm(ConvAlgorithm):
    """One that makes its outputs in blocks with the pixels first, so that a pooling can read them in the cache.

    `window` is the pooling's: blocks are of whole windows, and their columns sorted by their place in these.
    """

    def supports(self, problem: ConvProblem) -> Verdict:
        yes = problem.is_dense and problem.transposed is not None
        return Verdict(yes, "one group, stride 1, no dilation, padding below the window only")

    @abstractmethod
    def transform_input(self, context: Context, problem: ConvProblem, x: Array) -> Chunks:
        """What the others take of x [N, H, W, C], a chunk of images at a time, in the algorithm's own form."""

    @abstractmethod
    def outputs(
        self, context: Context, problem: ConvProblem, x: Chunks, w: Array, window: Pair, consume: Consume
    ) -> None:
        """Every block of y is given to `consume`, once, as in its signature; w is [kh, kw, C, F]."""

    @abstractmethod
    def block_gradients(
        self,
        context: Context,
        problem: ConvProblem,
        x: list[Chunk],
        window: Pair,
        output_gradient: OutputGradient,
        w: Array | None,
    ) -> tuple[Array | None, Array]:
        """dx [N, H, W, C], where w [kh, kw, C, F] is given and gradients are shared, and dw [kh, kw, C, F]. x,
        transformed, is used up; the gradients of the outputs are asked for in the order in which `outputs` gave the
        blocks."""

    def forward(self, context: Context, problem: ConvProblem, x: Array, w: Array) -> Array:
        y = context.empty(problem.y_shape, x.dtype)
        chunks = self.transform_input(context, problem, x)

        def consume(block: Block, pixels: Array) -> None:
            hwnc_to_nhwc(pixels[:, 0], out=block.of(y))

        self.outputs(context, problem, chunks, w, ONE_PIXEL, consume)
        return y

    def weight_gradient(self, context: Context, problem: ConvProblem, x: Array, dy: Array) -> Array:
        return self._gradients(context, problem, x, dy, None)[1]

    def gradients(self, context: Context, problem: ConvProblem, x: Array, dy: Array, w: Array) -> tuple[Array, Array]:
        if not self.shares_gradients:
            return super().gradients(context, problem, x, dy, w)
        dx, dw = self._gradients(context, problem, x, dy, w)
        assert dx is not None
        return dx, dw

    def _gradients(
        self, context: Context, problem: ConvProblem, x: Array, dy: Array, w: Array | None
    ) -> tuple[Array | None, Array]:
        def output_gradient(block: Block) -> Array:
            return nhwc_to_hwnc(context, block.of(dy))[:, None]

        chunks = list(self.transform_input(context, problem, x))
        return self.block_gradients(context, problem, chunks, ONE_PIXEL, output_gradient, w)


def turned(w: Array) -> Array:
    """Filters [kh, kw, C, F] by half a turn, inputs and outputs changed about, [kh, kw, F, C]: those of the
    `transposed` problem."""
    return np.ascontiguousarray(w[::-1, ::-1].swapaxes(2, 3))
