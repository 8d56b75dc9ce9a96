"""What PyTorch's pickles say, without unpickling: a stack machine that builds lists, dictionaries and tensors alone.

`pickletools` splits the bytes into operations and runs none. Whatever a pickle would call or import becomes an
`Other`, which holds a name and does nothing; only the few functions by which PyTorch writes tensors are understood, as
descriptions of where a tensor's numbers lie.
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, NamedTuple

from graphc.lazy import lazy_import
from graphc.weights.torch_calls import WRAPPED, Other, PickleError, Storage, Tensor, called, key_of, storage_of, wrapped

pickletools = lazy_import("pickletools")

MAX_PICKLE = 64 * 2**20
"""Bytes."""
MAX_OPERATIONS = 2_000_000
LARGEST_MEMO = 2**31
BROKEN = (ValueError, IndexError, KeyError, TypeError, struct.error, OverflowError, EOFError, AttributeError)
"""What `pickletools`, and the machine on a damaged stack, raise."""


class Limited:
    """A file from which no more than a pickle's bytes are read. It does not say where it is, which `pickletools` would
    ask at every operation."""

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

    def _spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise PickleError(f"expected a pickle of at most {MAX_PICKLE:,} bytes, found more")


class Read(NamedTuple):
    """A pickle, read."""

    value: Any
    """Of dict, list, tuple, str, numbers, `Tensor` and `Other`."""
    storages: Mapping[str, Storage]
    """Whole ones, by key."""
    parts: bool
    """Whether it has parts of storages, which the zip form has not."""
    operations: int
    tensors: int
    """Tensors that were made."""
    size: int
    """Bytes."""


def read_pickle(file: BinaryIO) -> Read:
    """The pickle that begins here."""
    machine = _Machine()
    start = file.tell()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of texts with escapes that Python does not know
        value, operations = _run(machine, file)
    return Read(value, machine.storages, machine.parts, operations, machine.tensors, file.tell() - start)


def _run(machine: _Machine, file: BinaryIO) -> tuple[Any, int]:
    try:
        for number, (operation, argument, _) in enumerate(pickletools.genops(Limited(file))):
            if number >= MAX_OPERATIONS:
                raise PickleError(f"expected a pickle of at most {MAX_OPERATIONS:,} operations, found more")
            if operation.name == "STOP":
                return machine.pop(), number
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
        self.parts = False
        self.tensors = 0
        self._named: dict[str, Storage] = {}
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
                into[key_of(key)] = value
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
            name, arguments = wrapped(arguments)
            self._count(arguments)
        made = called(name, arguments)
        self.tensors += isinstance(made, Tensor)
        self.stack.append(made)

    def _count(self, arguments: tuple[Any, ...]) -> None:
        """The values that a call is given: a list that stands once may be given, and copied, a million times."""
        self._given += len(arguments)
        if self._given <= MAX_OPERATIONS:
            self._given += sum(len(each) for each in arguments if isinstance(each, dict | list | tuple))
        if self._given > MAX_OPERATIONS:
            raise PickleError(f"expected calls with at most {MAX_OPERATIONS:,} values together, found more")

    def storage(self) -> None:
        """One that stands under the name of another is an error: PyTorch takes the first."""
        value, part = storage_of(self.pop())
        if isinstance(value, Storage):
            value = self._known(value.key, value)
            self.storages[value.key] = value
            if part is not None:
                self.parts = True
                value = self._known(part[0], Storage(value.key, value.dtype, value.itemsize, part[2], part[1]))
        self.stack.append(value)

    def _known(self, key: str, value: Storage) -> Storage:
        known = self._named.setdefault(key, value)
        for what in ("type", "key", "start", "count"):
            one, other = (getattr(each, "dtype" if what == "type" else what) for each in (known, value))
            if one != other:
                message = f"expected storages of one {what} each, found one of two, of which PyTorch takes the first"
                raise PickleError(message)
        return known

    def build(self) -> None:
        """The state of an object, which none of ours has, and a tensor only where it is given other numbers so."""
        self.pop()
        if isinstance(self.top(), Tensor):
            raise PickleError("expected tensors as PyTorch writes them, found one that is given a state")

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
    *("STRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
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
    "BINSTRING": lambda m, argument: m.stack.append(_text(argument)),
    "SHORT_BINSTRING": lambda m, argument: m.stack.append(_text(argument)),
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


def _text(latin: str) -> str | Other:
    """What Python 2 wrote, in UTF-8 as PyTorch reads it; other bytes are no text."""
    try:
        return latin.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        return Other("bytes")


def _word(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("a name that is no text")
    return value
