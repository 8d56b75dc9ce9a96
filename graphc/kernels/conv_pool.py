"""A convolution and the largest of every window behind it, block by block.

The convolution's whole output is never there, on the way back its gradient neither: a block is made, pooled and
forgotten in the cache, and what stays is a byte a window, its argmax.

Measured (docs/performance.md): LeNet's first convolution with its pooling takes 1.7 ms of a step in place of 3.2, and
peak memory is 72 MB in place of 88. It was memory that took so long, not arithmetic: alone, with the data in the cache,
pooling took 0.8 ms there and back, in a step twice that. Biases and ReLU inside the blocks brought nothing, nor did
chunks of half as many images.
"""

from __future__ import annotations

from graphc.kernels.conv import BlockwiseConvAlgorithm, ConvProblem, choose_conv_algorithm
from graphc.kernels.pixels import Block, Chunk, Chunks, hwnc_to_nhwc, nhwc_to_hwnc
from graphc.kernels.pool import tile_max, tile_max_grad
from graphc.kernels.unfold import Grid, Pair
from graphc.types import Array, Context


def pooling_algorithm(context: Context, problem: ConvProblem, window: Grid) -> BlockwiseConvAlgorithm | None:
    """The chosen algorithm, if it can do it: in training, where windows tile the outputs and nobody wants gradients
    that it does not make block by block."""
    algorithm = choose_conv_algorithm(problem).algorithm
    if not isinstance(algorithm, BlockwiseConvAlgorithm):
        return None
    if context.input_gradient and not algorithm.shares_gradients:
        return None
    return algorithm if context.training and window.is_tiling and window.padded == window.size else None


def conv_max_pool2d(
    context: Context,
    algorithm: BlockwiseConvAlgorithm,
    problem: ConvProblem,
    x: Array,
    w: Array,
    window: Pair,
    blank: Array | None = None,
) -> tuple[Array, list[Chunk], list[Array]]:
    """The largest of every window of the convolution, [N, H', W', F], and for the way back what the algorithm takes of
    x [N, H, W, C] and the argmax of each block. w is [kh, kw, C, F]; where `blank` [N, rows, columns] says so the
    convolution's outputs are exactly 0."""
    (rows, columns), (height, width) = problem.geometry.output, window
    y = context.empty((len(x), rows // height, columns // width, w.shape[3]), x.dtype)
    argmax = []

    def consume(block: Block, pixels: Array) -> None:
        if blank is not None:
            pixels[_by_place(block.of(blank), width)] = 0
        largest, places = tile_max(context, pixels, window)
        hwnc_to_nhwc(largest, out=block.pooled(window).of(y))
        argmax.append(places)

    kept = []

    def images() -> Chunks:
        for part in algorithm.transform_input(context, problem, x):
            kept.append(part)
            yield part

    algorithm.outputs(context, problem, images(), w, window, consume)
    return y, kept, argmax


def _by_place(images: Array, width: int) -> Array:
    """[n, H, W] as blocks have their pixels: rows × place in a window of this width × windows × n."""
    n, rows, columns = images.shape
    return images.transpose(1, 2, 0).reshape(rows, columns // width, width, n).swapaxes(1, 2)


def conv_max_pool2d_gradients(
    context: Context,
    algorithm: BlockwiseConvAlgorithm,
    problem: ConvProblem,
    images: list[Chunk],
    dy: Array,
    w: Array,
    argmax: list[Array],
    window: Pair,
) -> tuple[Array | None, Array]:
    """Of x [N, H, W, C], if the context asks for it, and of w [kh, kw, C, F], from dy [N, H', W', F]. `images` may be
    used up."""
    ahead = iter(argmax)

    def output_gradient(block: Block) -> Array:
        pooled = nhwc_to_hwnc(context, block.pooled(window).of(dy))
        return tile_max_grad(context, pooled, next(ahead), window)

    wanted = w if context.input_gradient else None
    return algorithm.block_gradients(context, problem, images, window, output_gradient, wanted)
