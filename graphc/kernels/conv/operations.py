"""Convolution and its gradients by whichever algorithm is chosen: what layers call."""

from __future__ import annotations

from graphc.kernels.conv.algorithm import turned
from graphc.kernels.conv.choose import choose_conv_algorithm, input_gradient_problem
from graphc.kernels.conv.problem import ConvProblem
from graphc.kernels.conv.subpixel import subpixel_gradient
from graphc.types import Array, Context


def conv2d(context: Context, problem: ConvProblem, x: Array, w: Array) -> Array:
    """y [N, H', W', F]: every window of x [N, H, W, C] times the filters w [kh, kw, C/groups, F]."""
    return choose_conv_algorithm(problem).algorithm.forward(context, problem, x, w)


def conv2d_weight_gradient(context: Context, problem: ConvProblem, x: Array, dy: Array) -> Array:
    """dw [kh, kw, C/groups, F]: windows of x [N, H, W, C] times dy [N, H', W', F], summed over pixels and the batch."""
    return choose_conv_algorithm(problem).algorithm.weight_gradient(context, problem, x, dy)


def conv2d_input_gradient(context: Context, problem: ConvProblem, dy: Array, w: Array) -> Array:
    """dx [N, H, W, C]: each output's gradient, dy [N, H', W', F], spread over its window through the filters w [kh, kw,
    C/groups, F].

    Where this is a convolution itself it may go by another algorithm than the problem's own: it has other channels.
    """
    forward = input_gradient_problem(problem)
    if forward is not None:
        return conv2d(context, forward, dy, turned(w))
    subpixel = subpixel_gradient(problem)
    if subpixel is not None:
        algorithm = choose_conv_algorithm(subpixel.problem).algorithm
        return subpixel.input_gradient(context, algorithm, dy, w)
    return choose_conv_algorithm(problem).algorithm.input_gradient(context, problem, dy, w)


def conv2d_gradients(
    context: Context, problem: ConvProblem, x: Array, dy: Array, w: Array, of_weights: bool = True
) -> tuple[Array | None, Array | None]:
    """dx [N, H, W, C], if the context asks for it, and dw [kh, kw, C/groups, F], unless nobody asks for that: they may
    share their work."""
    algorithm = choose_conv_algorithm(problem).algorithm
    if of_weights and context.input_gradient and algorithm.shares_gradients:
        return algorithm.gradients(context, problem, x, dy, w)
    dw = algorithm.weight_gradient(context, problem, x, dy) if of_weights else None
    return conv2d_input_gradient(context, problem, dy, w) if context.input_gradient else None, dw
