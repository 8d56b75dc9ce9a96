"""What PyTorch's pickles say, without unpickling: a stack machine that builds lists, dictionaries and tensors alone.

`pickletools` splits the bytes into operations and runs none. Whatever a pickle would call or import becomes an
`Other`, which holds a name and does nothing; only the few functions by which PyTorch writes tensors are understood, as
descriptions of where a tensor's numbers lie.
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple

from graphc.lazy import lazy_import

pickletools = lazy_import("pickletools")

MAX_PICKLE = 64 * 2**20
"""Bytes."""
MAX_OPERATIONS = 2_000_000
MAX_KEY = 2**31
LARGEST_MEMO = 2**31
BROKEN = (ValueError, IndexError, KeyError, TypeError, struct.error, OverflowError, EOFError, AttributeError)
"""What `pickletools`, and the machine on a damaged stack, raise."""
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
REBUILD = {"_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3"}
WRAPPED = "torch._tensor._rebuild_from_type_v2"
"""Of a class of its own: a function that makes a tensor, the class, and what the function is given."""
SAME = {"_rebuild_parameter", "_rebuild_parameter_with_state"}


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


@dataclass(frozen=True, eq=False, slots=True)
class Tensor:
    """A view of a storage; sizes, strides and the offset in numbers."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class Limited:
    """A file from which no more than a pickle's bytes are read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._left = MAX_PICKLE

    def read(self, count: int) -> bytes:
        """So many bytes, fewer at the file's end."""
        self._spend(count)
        return self._file.read(count)

    def readline(self) -> bytes:
        """Up to the end of a line."""
        line = self._file.readline(self._left)
        self._spend(len(line))
        return line

    def tell(self) -> int:
        """The position in the file."""
        return self._file.tell()

    def _spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise PickleError(f"expected a pickle of at most {MAX_PICKLE:,} bytes, found more")


class Read(NamedTuple):
    """A pickle, read."""

    value: Any
    """Of dict, list, tuple, str, numbers, `Tensor` and `Other`."""
    storages: Mapping[str, Storage]
    operations: int


def read_pickle(file: BinaryIO) -> Read:
    """The pickle that begins here."""
    machine = _Machine()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of texts with escapes that Python does not know
        return _run(machine, file)


def _run(machine: _Machine, file: BinaryIO) -> Read:
    try:
        for number, (operation, argument, _) in enumerate(pickletools.genops(Limited(file))):
            if number >= MAX_OPERATIONS:
                raise PickleError(f"expected a pickle of at most {MAX_OPERATIONS:,} operations, found more")
            if operation.name == "STOP":
                return Read(machine.pop(), machine.storages, number)
            machine.run(operation.name, argument)
    except BROKEN as error:
        found = str(error).strip("'\"").splitlines() or [type(error).__name__]
        raise PickleError(f"expected a pickle as PyTorch writes it, found {found[0][:100]}") from None
    raise PickleError("expected a pickle as PyTorch writes it, found its beginning only")


class _Mark:
    pass


class _Machine:
    """The stack and the memo of an unpickler; values are described, nothing is called."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.storages: dict[str, Storage] = {}
        self._given = 0

    def run(self, name: str, argument: Any) -> None:
        if name in PUSHED:
            self.stack.append(argument)
        elif name in CONSTANTS:
            self.stack.append(CONSTANTS[name]())
        elif name in ACTIONS:
            ACTIONS[name](self, argument)
        elif name not in IGNORED:
            raise PickleError(f"expected a pickle as PyTorch writes it, found the operation {name}")

    def pop(self) -> Any:
        value = self.stack.pop()
        if isinstance(value, _Mark):
            raise ValueError("a mark in place of a value")
        return value

    def pop_to_mark(self) -> list[Any]:
        for place in range(len(self.stack) - 1, -1, -1):
            if isinstance(self.stack[place], _Mark):
                values = self.stack[place + 1 :]
                del self.stack[place:]
                return values
        raise ValueError("no mark")

    def top(self) -> Any:
        return self.stack[-1]

    def put(self, place: int) -> None:
        if not 0 <= place < LARGEST_MEMO:
            raise ValueError("a place of the memo out of range")
        self.memo[place] = self.top()

    def tuple_of(self, count: int) -> None:
        values = tuple(self.pop() for _ in range(count))[::-1]
        self.stack.append(values)

    def global_of(self, module: Any, name: Any) -> None:
        self.stack.append(Other(f"{module}.{name}"))

    def set_items(self, pairs: list[Any]) -> None:
        into = self.top()
        if isinstance(into, dict):
            for key, value in zip(pairs[::2], pairs[1::2], strict=True):
                into[_key(key)] = value
        elif not isinstance(into, Other):
            raise ValueError("items for what is no dictionary")

    def append(self, values: list[Any]) -> None:
        into = self.top()
        if isinstance(into, list):
            into.extend(values)
        elif not isinstance(into, Other):
            raise ValueError("items for what is no list")

    def reduce(self) -> None:
        arguments, function = self.pop(), self.pop()
        if not isinstance(function, Other) or not isinstance(arguments, tuple):
            raise ValueError("a call of what is no function")
        name = function.name
        self._count(arguments)
        while name == WRAPPED:
            name, arguments = _wrapped(arguments)
            self._count(arguments)
        self.stack.append(_called(name, arguments))

    def _count(self, arguments: tuple[Any, ...]) -> None:
        """The values that a call is given: a list that stands once may be given, and copied, a million times."""
        self._given += len(arguments)
        if self._given <= MAX_OPERATIONS:
            self._given += sum(len(each) for each in arguments if isinstance(each, dict | list | tuple))
        if self._given > MAX_OPERATIONS:
            raise PickleError(f"expected calls with at most {MAX_OPERATIONS:,} values together, found more")

    def storage(self) -> None:
        value = _storage(self.pop())
        if isinstance(value, Storage):
            if self.storages.setdefault(value.key, value).dtype != value.dtype:
                raise PickleError(
                    "expected storages of one type each, found one of two, of which PyTorch takes the first"
                )
            self.storages[value.key] = value
        self.stack.append(value)

    def build(self) -> None:
        """The state of an object, which none of ours has."""
        self.pop()

    def make_object(self, discarded: int) -> None:
        del self.stack[len(self.stack) - discarded :]
        of = self.pop()
        self.stack.append(Other(of.name if isinstance(of, Other) else "object"))

    def made(self, name: str) -> None:
        """An object of what lies above the mark."""
        self.pop_to_mark()
        self.stack.append(Other(name))

    def instance(self, values: list[Any]) -> None:
        of = values[0] if values else None
        self.stack.append(Other(of.name if isinstance(of, Other) else "object"))


PUSHED = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}
"""Operations whose argument is the value."""
CONSTANTS: Mapping[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_SET": lambda: Other("set"),
    "MARK": _Mark,
}
IGNORED = {"PROTO", "FRAME", "READONLY_BUFFER"}
ACTIONS: Mapping[str, Callable[[_Machine, Any], object]] = {
    "POP": lambda m, _: m.stack.pop(),
    "POP_MARK": lambda m, _: m.pop_to_mark(),
    "DUP": lambda m, _: m.stack.append(m.top()),
    "PUT": lambda m, argument: m.put(argument),
    "BINPUT": lambda m, argument: m.put(argument),
    "LONG_BINPUT": lambda m, argument: m.put(argument),
    "MEMOIZE": lambda m, _: m.put(len(m.memo)),
    "GET": lambda m, argument: m.stack.append(m.memo[argument]),
    "BINGET": lambda m, argument: m.stack.append(m.memo[argument]),
    "LONG_BINGET": lambda m, argument: m.stack.append(m.memo[argument]),
    "TUPLE": lambda m, _: m.stack.append(tuple(m.pop_to_mark())),
    "TUPLE1": lambda m, _: m.tuple_of(1),
    "TUPLE2": lambda m, _: m.tuple_of(2),
    "TUPLE3": lambda m, _: m.tuple_of(3),
    "LIST": lambda m, _: m.stack.append(m.pop_to_mark()),
    "DICT": lambda m, _: _fill(m, m.pop_to_mark()),
    "FROZENSET": lambda m, _: m.made("frozenset"),
    "ADDITEMS": lambda m, _: m.append(m.pop_to_mark()),
    "APPEND": lambda m, _: m.append([m.pop()]),
    "APPENDS": lambda m, _: m.append(m.pop_to_mark()),
    "SETITEM": lambda m, _: m.set_items([m.pop(), m.pop()][::-1]),
    "SETITEMS": lambda m, _: m.set_items(m.pop_to_mark()),
    "GLOBAL": lambda m, argument: m.global_of(*argument.rsplit(" ", 1)),
    "STACK_GLOBAL": lambda m, _: m.global_of(*[_word(m.pop()), _word(m.pop())][::-1]),
    "REDUCE": lambda m, _: m.reduce(),
    "BUILD": lambda m, _: m.build(),
    "NEWOBJ": lambda m, _: m.make_object(1),
    "NEWOBJ_EX": lambda m, _: m.make_object(2),
    "OBJ": lambda m, _: m.instance(m.pop_to_mark()),
    "INST": lambda m, argument: m.made(argument.replace(" ", ".")),
    "BINPERSID": lambda m, _: m.storage(),
}


def _fill(machine: _Machine, pairs: list[Any]) -> None:
    machine.stack.append({})
    machine.set_items(pairs)


def _word(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("a name that is no text")
    return value


def _key(value: Any) -> Any:
    """A key of a dictionary; what is neither text nor a small number is told from others by being itself. Tuples in
    tuples would take forever to hash."""
    plain = isinstance(value, str) or value is None or (isinstance(value, int) and abs(value) < MAX_KEY)
    return value if plain else Other("key")


def _called(name: str, arguments: tuple[Any, ...]) -> Any:
    """What a call would have made, of the few that make a state dictionary."""
    module, _, function = name.rpartition(".")
    if name == "collections.OrderedDict":
        pairs = arguments[0] if arguments and isinstance(arguments[0], list) else []
        return {_key(pair[0]): pair[1] for pair in pairs}
    if name == "torch.Size" and arguments and isinstance(arguments[0], tuple | list):
        return tuple(arguments[0])
    if module in ("torch._utils", "torch._tensor") and function in REBUILD:
        return _tensor(arguments)
    if module == "torch._utils" and function in SAME:
        return arguments[0]
    return Other(name)


def _wrapped(arguments: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
    """The call within one of `WRAPPED`."""
    function, _, inner = arguments[:3]
    if not isinstance(function, Other) or not isinstance(inner, tuple):
        raise ValueError("a call of what is no function")
    return function.name, inner


def _tensor(arguments: tuple[Any, ...]) -> Tensor | Other:
    storage, offset, shape, strides = arguments[:4]
    if isinstance(storage, Other):
        return storage
    if not isinstance(storage, Storage):
        raise ValueError("a tensor without a storage")
    if not (_natural(offset) and _naturals(shape) and _naturals(strides) and len(shape) == len(strides)):
        raise ValueError("a tensor without a shape")
    if len(arguments) > 6 and isinstance(arguments[6], dict) and any(map(arguments[6].get, ("conj", "neg"))):
        return Other("a tensor whose signs are turned when it is read")
    if len(arguments) > 6 and isinstance(arguments[6], Other):  # version 3: bytes of a type of its own
        kind = arguments[6].name.removeprefix("torch.")
        if kind not in TYPES:
            return Other(arguments[6].name)
        dtype, itemsize = TYPES[kind]
        storage = Storage(storage.key, dtype, itemsize, storage.count * storage.itemsize // itemsize)
    return Tensor(storage, offset, tuple(shape), tuple(strides))


def _storage(said: Any) -> Storage | Other:
    """What stands for the bytes that lie elsewhere in the file."""
    if isinstance(said, tuple) and len(said) > 1 and said[0] == "module" and isinstance(said[1], Other):
        return said[1]
    if not isinstance(said, tuple) or len(said) < 5 or said[0] != "storage" or not isinstance(said[1], Other):
        raise ValueError("a storage without a place")
    kind = said[1].name.rpartition(".")[2]
    if kind not in STORAGES:
        return Other(said[1].name)
    if not isinstance(said[2], str) or not _natural(said[4]):
        raise ValueError("a storage without a size")
    dtype, itemsize = STORAGES[kind]
    part = said[5] if len(said) > 5 else None
    if part is None:
        return Storage(said[2], dtype, itemsize, said[4])
    if not isinstance(part, tuple) or len(part) != 3 or not _naturals(part[1:]):
        raise ValueError("a part of a storage without a place")
    return Storage(said[2], dtype, itemsize, part[2], part[1])


def _natural(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _naturals(values: Any) -> bool:
    return isinstance(values, tuple | list) and all(map(_natural, values))
