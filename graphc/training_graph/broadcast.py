"""Broadcasting of examples in a training graph, as `graphc.layers.broadcast` says it."""

from __future__ import annotations

from graphc.training_graph.tensor import Tensor, between_layers, channels_last


def widened(x: Tensor, rank: int) -> Tensor:
    """x with axes of size 1 behind the batch, so that it meets tensors of this rank as they lie between layers."""
    if x.rank == rank:
        return x
    if x.rank == 2 and rank in (4, 5):
        return x.reshape(*x.shape, *(1,) * (rank - 2))
    last = channels_last(x)
    return between_layers(last.reshape(last.shape[0], *(1,) * (rank - x.rank), *last.shape[1:]))


def emit_summed(dy: Tensor, x: Tensor) -> Tensor:
    """dy summed over the axes along which x was repeated, as x lies."""
    wide = widened_shape(x, dy.rank)
    axes = [axis for axis, (size, whole) in enumerate(zip(wide, dy.shape, strict=True)) if size != whole]
    total = dy.sum(*axes, keep=True) if axes else dy
    if x.rank == dy.rank:
        return total
    return between_layers(channels_last(total).reshape(x.shape[0], *x.example))


def widened_shape(x: Tensor, rank: int) -> tuple[int, ...]:
    """The shape of `widened`, without a node."""
    if x.rank == rank:
        return x.shape
    wide = (*(1,) * (rank - x.rank), *x.example)
    return (x.shape[0], wide[-1], *wide[:-1]) if rank in (4, 5) else (x.shape[0], *wide)
