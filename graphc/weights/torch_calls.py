"""What PyTorch's pickles call to make tensors, as descriptions of where a tensor's numbers lie; nothing is called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MAX_KEY = 2**31
STORAGES: Mapping[str, tuple[str, int]] = {
    "FloatStorage": ("float32", 4),
    "DoubleStorage": ("float64", 8),
    "HalfStorage": ("float16", 2),
    "BFloat16Storage": ("bfloat16", 2),
    "LongStorage": ("int64", 8),
    "IntStorage": ("int32", 4),
    "ShortStorage": ("int16", 2),
    "CharStorage": ("int8", 1),
    "ByteStorage": ("uint8", 1),
    "BoolStorage": ("bool", 1),
    "UntypedStorage": ("uint8", 1),
}
"""PyTorch's classes of storages -> (type, bytes of a number)."""
TYPES: Mapping[str, tuple[str, int]] = {known[0]: known for known in STORAGES.values()}
"""PyTorch's types by name -> the same."""
REBUILD: Mapping[str, int | None] = {"_rebuild_tensor": None, "_rebuild_tensor_v2": 6, "_rebuild_tensor_v3": 7}
"""PyTorch's functions that make a tensor -> which argument says whether signs are turned when it is read."""
TYPED, DTYPE = "_rebuild_tensor_v3", 6
"""The one that takes bytes for numbers of a type of its own, and which argument is that."""
WRAPPED = "torch._tensor._rebuild_from_type_v2"
"""Of a class of its own: a function that makes a tensor, the class, and what the function is given."""
SAME: Mapping[str, int | None] = {"_rebuild_parameter": None, "_rebuild_parameter_with_state": 3}
"""Functions that give the tensor that they are given -> which argument is a state that it takes on."""
NUMBERS = ("data", "real", "imag")
"""Attributes by which a state gives a tensor other numbers."""


class PickleError(Exception):
    """A pickle that cannot be read, in a sentence."""


@dataclass(frozen=True, eq=False, slots=True)
class Other:
    """An object that is none of ours to make: its class's or function's name."""

    name: str


@dataclass(frozen=True, eq=False, slots=True)
class Storage:
    """Numbers in a row, somewhere in the file."""

    key: str
    dtype: str
    itemsize: int
    count: int
    start: int = 0
    """The first number, where it is a part of the storage of this key."""
    turned: int = 0
    """Bytes that the file's byte order turns together, where they are not those of a number."""


@dataclass(frozen=True, eq=False, slots=True)
class Tensor:
    """A view of a storage; sizes, strides and the offset in numbers."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def key_of(value: Any) -> Any:
    """A key of a dictionary; what is neither text nor a small number is told from others by being itself. Tuples in
    tuples would take forever to hash."""
    plain = isinstance(value, str) or value is None or (isinstance(value, int | float) and abs(value) < MAX_KEY)
    return value if plain else Other("key")


def called(name: str, arguments: tuple[Any, ...]) -> Any:
    """What a call would have made, of the few that make a state dictionary."""
    module, _, function = name.rpartition(".")
    if name == "collections.OrderedDict" and len(arguments) < 2:
        return _ordered(arguments[0]) if arguments else {}
    if name == "torch.Size" and arguments and isinstance(arguments[0], tuple | list):
        return tuple(arguments[0])
    if module in ("torch._utils", "torch._tensor") and function in REBUILD:
        return _tensor(function, arguments)
    if module == "torch._utils" and function in SAME:
        if not isinstance(arguments[0], Tensor | Other):
            raise ValueError("a parameter without a tensor")
        at = SAME[function]
        _check_state(None if at is None else arguments[at])
        return arguments[0]
    return Other(name)


def _ordered(items: Any) -> Any:
    """A dictionary of another one, or of pairs."""
    if isinstance(items, dict):
        return dict(items)
    if not isinstance(items, list | tuple):
        return Other("collections.OrderedDict")
    if not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in items):
        raise ValueError("items of a dictionary that are no pairs")
    return {key_of(key): value for key, value in items}


def _check_state(state: Any) -> None:
    """A PickleError where a tensor may be given other numbers by what PyTorch sets of its attributes."""
    parts = state if isinstance(state, tuple) else (state,)
    for part in parts:
        if part is not None and (not isinstance(part, dict) or any(name in part for name in NUMBERS)):
            raise PickleError("expected tensors as PyTorch writes them, found one that is given other numbers")


def wrapped(arguments: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
    """The call within one of `WRAPPED`."""
    function, _, inner = arguments[:3]
    if not isinstance(function, Other) or not isinstance(inner, tuple):
        raise ValueError("a call of what is no function")
    _check_state(arguments[3] if len(arguments) > 3 else None)
    return function.name, inner


def _tensor(function: str, arguments: tuple[Any, ...]) -> Tensor | Other:
    storage, offset, shape, strides = arguments[:4]
    if isinstance(storage, Other):
        return storage
    if not isinstance(storage, Storage):
        raise ValueError("a tensor without a storage")
    if not (_natural(offset) and _naturals(shape) and _naturals(strides) and len(shape) == len(strides)):
        raise ValueError("a tensor without a shape")
    at = REBUILD[function]
    signs = arguments[at] if at is not None and len(arguments) > at else None
    if signs and (not isinstance(signs, dict) or any(map(signs.get, ("conj", "neg")))):
        return Other("a tensor whose signs are turned when it is read")
    if function == TYPED:
        kind = arguments[DTYPE]
        if not isinstance(kind, Other):
            raise ValueError("a tensor without a type")
        if kind.name.removeprefix("torch.") not in TYPES:
            return Other(kind.name)
        storage = _taken_for(storage, *TYPES[kind.name.removeprefix("torch.")])
    return Tensor(storage, offset, tuple(shape), tuple(strides))


def _taken_for(storage: Storage, dtype: str, itemsize: int) -> Storage:
    """The same bytes as numbers of another type."""
    start, rest = divmod(storage.start * storage.itemsize, itemsize)
    if rest:
        raise PickleError(f"expected a part of a storage that begins with a number of {dtype}, found one within it")
    count = storage.count * storage.itemsize // itemsize
    return Storage(storage.key, dtype, itemsize, count, start, storage.itemsize)


def storage_of(said: Any) -> tuple[Storage | Other, tuple[str, int, int] | None]:
    """(what stands for the bytes that lie elsewhere in the file; of a part its key, its first number and how many)."""
    if isinstance(said, tuple) and len(said) > 1 and said[0] == "module" and isinstance(said[1], Other):
        return said[1], None
    if not isinstance(said, tuple) or len(said) not in (5, 6) or said[0] != "storage" or not isinstance(said[1], Other):
        raise ValueError("a storage without a place")
    kind = said[1].name.rpartition(".")[2]
    if kind not in STORAGES:
        return Other(said[1].name), None
    if not isinstance(said[2], str) or not said[2].isascii() or not _natural(said[4]):
        raise ValueError("a storage without a size")
    dtype, itemsize = STORAGES[kind]
    part = said[5] if len(said) > 5 else None
    if part is not None:
        if not isinstance(part, tuple) or len(part) != 3 or not isinstance(part[0], str) or not _naturals(part[1:]):
            raise ValueError("a part of a storage without a place")
        if part[1] + part[2] > said[4]:
            raise PickleError(f"expected a part of {said[4]:,} numbers, found one up to the {part[1] + part[2]:,}th")
    return Storage(said[2], dtype, itemsize, said[4]), part


def _natural(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _naturals(values: Any) -> bool:
    return isinstance(values, tuple | list) and all(map(_natural, values))
