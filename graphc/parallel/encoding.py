"""Values as JSON with their arrays apart: what goes from one process to another without pickles.

Values are arrays, numbers, texts, None, and dicts, lists and tuples of them; tuples come back as lists.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
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
    return HEAD.pack(array.ndim, *array.shape, *(0,) * (MOST_AXES - array.ndim), array.dtype.str.encode())


def of_head(memory: memoryview, at: int) -> tuple[str, list[int]]:
    """The dtype and shape of the array that is described there."""
    axes, *shape, dtype = HEAD.unpack_from(memory, at)
    return dtype.rstrip(b"\0").decode(), shape[:axes]


def packed(value: Any) -> Array:
    """The value as uint8 [bytes]: the length of its description, the description, and its arrays in C order."""
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
        pieces += bytes(padding), np.ascontiguousarray(array).data
        at += padding + array.nbytes
    return np.frombuffer(b"".join(pieces), np.uint8)


def unpacked(message: Array) -> Any:
    """What was packed into the uint8 [bytes]; arrays are views of them."""
    (length,) = LENGTH.unpack_from(message.data)
    at = LENGTH.size + (length if length >= 0 else -length * HEAD.size)

    def take(dtype: str, shape: list[int]) -> Array:
        nonlocal at
        at += -at % ALIGNMENT
        array: Array = np.ndarray(shape, dtype, message.data, at)
        at += array.nbytes
        return array

    if length < 0:
        return [take(*of_head(message.data, LENGTH.size + number * HEAD.size)) for number in range(-length)]
    return value_of(json.loads(message[LENGTH.size : LENGTH.size + length].tobytes()), take)


def aligned(size: int) -> Array:
    """uint8 [size], without particular contents, whose first byte lies where arrays of a workspace do."""
    whole = np.empty(size + ALIGNMENT, np.uint8)
    start = -whole.ctypes.data % ALIGNMENT
    return whole[start : start + size]
