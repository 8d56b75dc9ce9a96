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
"""Of the JSON text, before it."""


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


def packed(value: Any) -> Array:
    """The value as uint8 [bytes]: the length of its description, the description, and its arrays in C order."""
    arrays: list[Array] = []
    text = json.dumps(described(value, arrays)).encode()
    starts, at = [], LENGTH.size + len(text)
    for array in arrays:
        at += -at % ALIGNMENT
        starts.append(at)
        at += array.nbytes
    message = aligned(at)
    LENGTH.pack_into(message.data, 0, len(text))
    message[LENGTH.size : LENGTH.size + len(text)] = np.frombuffer(text, np.uint8)
    for array, start in zip(arrays, starts, strict=True):
        np.copyto(np.ndarray(array.shape, array.dtype, message.data, start), array)
    return message


def unpacked(message: Array) -> Any:
    """What was packed into the uint8 [bytes]; arrays are views of them."""
    (length,) = LENGTH.unpack_from(message.data)
    at = LENGTH.size + length

    def take(dtype: str, shape: list[int]) -> Array:
        nonlocal at
        at += -at % ALIGNMENT
        array: Array = np.ndarray(shape, dtype, message.data, at)
        at += array.nbytes
        return array

    return value_of(json.loads(message[LENGTH.size : LENGTH.size + length].tobytes()), take)


def aligned(size: int) -> Array:
    """uint8 [size], without particular contents, whose first byte lies where arrays of a workspace do."""
    whole = np.empty(size + ALIGNMENT, np.uint8)
    start = -whole.ctypes.data % ALIGNMENT
    return whole[start : start + size]
