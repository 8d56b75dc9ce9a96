"""Values as JSON with their arrays apart: what goes from one process to another without pickles.

Values are arrays, numbers, texts, None, and dicts, lists and tuples of them; tuples come back as lists.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from graphc.lazy import np
from graphc.types import Array
from graphc.workspace import ALIGNMENT

ARRAY, MAPPING = "array", "mapping"
LENGTH = struct.Struct("=q")
"""Of the JSON text, before it; or minus how many arrays there are, in a list of nothing else."""
MOST_AXES = 4
HEAD = struct.Struct(f"={1 + MOST_AXES}q8s")
"""Of an array without JSON, which takes six times as long: how many axes, the shape, the dtype."""
assert LENGTH.size + HEAD.size <= ALIGNMENT
NUMBERS = "biuf"
"""Kinds of dtypes whose names are as short as that."""


def described(value: Any, arrays: list[Array]) -> Any:
    """The value for `json.dumps`; its arrays [...] are appended to `arrays`, in the order in which `value_of` asks for
    them."""
    if isinstance(value, (list, tuple)):
        return [described(each, arrays) for each in value]
    if isinstance(value, dict):
        return {MAPPING: {name: described(each, arrays) for name, each in value.items()}}
    if value is None or (isinstance(value, (bool, int, float, str)) and not isinstance(value, np.generic)):
        return value
    array = np.asarray(value)
    arrays.append(array)
    return {ARRAY: [array.dtype.str, array.shape]}


def value_of(text: Any, take: Callable[[str, list[int]], Array]) -> Any:
    """What was described; `take` gives the next array, of this dtype and shape [...]."""
    if isinstance(text, list):
        return [value_of(each, take) for each in text]
    if not isinstance(text, dict):
        return text
    if MAPPING in text:
        return {name: value_of(each, take) for name, each in text[MAPPING].items()}
    return take(*text[ARRAY])


def is_plain(value: Any) -> bool:
    """Whether this is an array that `head_of` describes."""
    return isinstance(value, np.ndarray) and value.ndim <= MOST_AXES and value.dtype.kind in NUMBERS


def head_of(array: Array) -> bytes:
    """What `of_head` reads of an array [...]."""
    return _head(array.shape, array.dtype)


def before_one(array: Array) -> bytes:
    """What stands before the numbers of an array [...] that is all there is: `ALIGNMENT` bytes."""
    return _before_one(array.shape, array.dtype)


def of_head(memory: memoryview, at: int) -> tuple[str, tuple[int, ...]]:
    """The dtype and shape of the array that is described there."""
    return _of_head(bytes(memory[at : at + HEAD.size]))


# a step has the same few heads again and again


@lru_cache(1024)
def _head(shape: tuple[int, ...], dtype: Any) -> bytes:
    return HEAD.pack(len(shape), *shape, *(0,) * (MOST_AXES - len(shape)), dtype.str.encode())


@lru_cache(1024)
def _before_one(shape: tuple[int, ...], dtype: Any) -> bytes:
    start = LENGTH.pack(-1) + _head(shape, dtype)
    return start + bytes(-len(start) % ALIGNMENT)


@lru_cache(1024)
def _of_head(head: bytes) -> tuple[str, tuple[int, ...]]:
    axes, *shape, dtype = HEAD.unpack(head)
    return dtype.rstrip(b"\0").decode(), tuple(shape[:axes])


def packed(value: Any) -> bytes:
    """The value: the length of its description, the description, and its arrays in C order."""
    if type(value) is list and len(value) == 1 and is_plain(value[0]):  # nearly all that a step exchanges
        return b"".join((before_one(value[0]), value[0].tobytes()))
    arrays: list[Array] = []
    if isinstance(value, list) and value and all(map(is_plain, value)):
        arrays, text, length = value, b"".join(map(head_of, value)), -len(value)
    else:
        text = json.dumps(described(value, arrays)).encode()
        length = len(text)
    pieces: list[bytes | memoryview] = [LENGTH.pack(length), text]
    at = LENGTH.size + len(text)
    for array in arrays:
        padding = -at % ALIGNMENT
        pieces += bytes(padding), array.data if array.flags.c_contiguous else array.tobytes()
        at += padding + array.nbytes
    return b"".join(pieces)


def unpacked(message: Array) -> Any:
    """What was packed into the uint8 [bytes]; arrays are views of them."""
    memory = message.data
    (length,) = LENGTH.unpack_from(memory)
    at = LENGTH.size + (length if length >= 0 else -length * HEAD.size)

    def take(dtype: str, shape: Sequence[int]) -> Array:
        nonlocal at
        at += -at % ALIGNMENT
        array: Array = np.ndarray(shape, dtype, memory, at)
        at += array.nbytes
        return array

    if length < 0:
        return [take(*of_head(memory, LENGTH.size + number * HEAD.size)) for number in range(-length)]
    return value_of(json.loads(message[LENGTH.size : LENGTH.size + length].tobytes()), take)
