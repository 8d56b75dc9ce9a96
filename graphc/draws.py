"""Random numbers for variables: the same bytes on every machine and with every NumPy.

Only the raw streams of NumPy's bit generators are stable between its versions (NEP 19), and logarithms differ
between machines. So a normal number is read from a table of quantiles by 16 random bits and interpolated by 16
more, and the table is made of additions, multiplications, divisions and square roots alone.
"""

from __future__ import annotations

import hashlib
import math
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from graphc.lazy import np
from graphc.quantiles import Quantiles, truncated_quantiles

if TYPE_CHECKING:
    from graphc.types import Array

BLOCK = 1 << 16
"""Numbers drawn at a time: the table and one block stay in the processor's cache. With an eighth of it two threads are
slower than one: at every call each may have to wait for the other to let go of the interpreter."""
WHOLE = slice(0, None)
"""The part that is all of a variable."""


def stream_seed(seed: int, name: str) -> int:
    """128 bits that depend on the seed and the name alone."""
    digest = hashlib.sha256(f"{seed}\n{name}".encode()).digest()
    return int.from_bytes(digest[:16], "big")


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Inputs and outputs of a unit, as TF-Slim counts them."""
    if len(shape) < 2:
        only = shape[0] if shape else 1
        return only, only
    area = math.prod(shape[:-2])
    return area * shape[-2], area * shape[-1]


def fill_scaled(out: Array, seed: int, part: slice, factor: float, mode: str, uniform: bool) -> None:
    """Written into `part` of out [...]: numbers of zero mean and a variance of factor/n."""
    fan_in, fan_out = fans(out.shape)
    n = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[mode]
    if uniform:
        limit = math.sqrt(3.0 * factor / n)
        fill_uniform(out, seed, part, -limit, limit)
    else:
        fill_from(truncated_quantiles(), out, seed, part, 0.0, math.sqrt(1.3 * factor / n))


def fill_uniform(out: Array, seed: int, part: slice, low: float, high: float) -> None:
    """Written into `part` of out [...]: multiples of 2**-24 from 0 to below 1, stretched to `low` to `high`."""
    for block, bits in random_bits(out, seed, part):
        np.right_shift(bits, 8, out=bits)
        np.multiply(bits, np.float32((high - low) * 2.0**-24), out=block)
        np.add(block, np.float32(low), out=block)


def fill_from(quantiles: Quantiles, out: Array, seed: int, part: slice, mean: float, stddev: float) -> None:
    """Written into `part` of out [...]: quantiles at random positions; 16 bits choose the interval, 16 the place in
    it."""
    start, step = quantiles
    intervals, places = _work_arrays()
    for block, bits in random_bits(out, seed, part):
        halves = bits.view("<u2")
        interval, place = intervals[: block.size], places[: block.size]
        interval[...] = halves[::2]
        np.take(step, interval, out=place, mode="clip")
        np.multiply(halves[1::2], place, out=place)
        np.take(start, interval, out=block, mode="clip")
        np.add(block, place, out=block)
        np.multiply(block, np.float32(stddev), out=block)
        np.add(block, np.float32(mean), out=block)


_own = threading.local()


def _work_arrays() -> tuple[Array, Array]:
    """Two arrays of a block, of integers and of float32, of this thread's own, which keeps them: memory that is given
    back comes again page by page."""
    if not hasattr(_own, "arrays"):
        _own.arrays = np.empty(BLOCK, np.intp), np.empty(BLOCK, np.float32)
    found: tuple[Array, Array] = _own.arrays
    return found


def random_bits(out: Array, seed: int, part: slice) -> Iterator[tuple[Array, Array]]:
    """`part` of out [...] (in C order, from an even number on) in blocks [n] that are there to be written into, each
    with 32 random bits a number, uint32 [n]."""
    stream = np.random.PCG64(seed).advance(part.start // 2)
    flat = out.reshape(-1)[part]
    for first in range(0, flat.size, BLOCK):
        block = flat[first : first + BLOCK]
        raw = stream.random_raw((block.size + 1) // 2)
        yield block, raw.astype("<u8", copy=False).view("<u4")[: block.size]


def orthonormal_rows(rows: Array) -> Array:
    """Modified Gram-Schmidt on rows [R, C] with R <= C, in float64. Sums are taken by halving, so that their order is
    always the same: a processor's own order in `np.sum` or BLAS would change the last bits."""
    rows = rows.copy()
    for i in range(rows.shape[0]):
        rows[i] /= np.sqrt(_halving_sum(rows[i] * rows[i]))
        if i + 1 < rows.shape[0]:
            along = _halving_sum((rows[i + 1 :] * rows[i]).T)
            rows[i + 1 :] -= along[:, None] * rows[i]
    return rows


def _halving_sum(values: Array) -> Array:
    """The sum over the first axis, the upper half added to the lower until one is left."""
    while values.shape[0] > 1:
        half = (values.shape[0] + 1) // 2
        upper = values[half:]
        values = np.concatenate([values[: upper.shape[0]] + upper, values[upper.shape[0] : half]])
    total: Array = values[0]
    return total


# -- threads -------------------------------------------------------------------------------------------------


def do_all(work: Sequence[Callable[[], None]], threads: int) -> None:
    """Everything in `work`, by the calling thread and so many less one beside it. After an error nothing more is
    begun, and it is raised once all have stopped."""
    left, errors = deque(work), list[BaseException]()

    def take() -> None:
        try:
            while True:
                try:
                    one = left.popleft()
                except IndexError:
                    return
                one()
        except BaseException as error:  # raised by the caller
            errors.append(error)
            left.clear()

    helpers = [threading.Thread(target=take, name="graphc-draw") for _ in range(threads - 1)]
    for helper in helpers:
        helper.start()
    take()
    for helper in helpers:
        helper.join()
    if errors:
        raise errors[0]
