"""What `torch.save` writes: .pth and .pt, the zip form of 1.6 and later and the one before it."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from graphc.errors import WeightsError, counted
from graphc.files import shown
from graphc.lazy import np
from graphc.types import Array
from graphc.weights.file import MAX_ENTRIES, MAX_NAME, OTHERS, Entry, Layout, check_array, check_floats
from graphc.weights.floats import FLOATS
from graphc.weights.npz import BROKEN, check_directory
from graphc.weights.torch_calls import Other, PickleError, Storage, Tensor
from graphc.weights.torch_pickle import MAX_PICKLE, Read, read_pickle

MAGIC = 0x1950A86A20F9469CFC6C
"""The first pickle of the older form."""
OLD_START = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
VERSION = 1001
MAX_STORAGES = 1_000_000
MAX_VALUES = 1_000_000
"""Arrays and what else there is."""
SAVE = "save model.state_dict() instead of the model"
MAX_DEPTH = 32
"""Dictionaries within each other."""
FEW = 1_000
"""Values that a pickle may have whatever its size; beyond, no more than operations: a dictionary of arrays that stands
once may be found at as many places."""
FEW_ARRAYS, MAX_PLACES = 10_000, 4
"""Arrays that it may have whatever its size; beyond, no more than so many for each tensor that it makes."""
FEW_LETTERS, MAX_LETTERS = 2**20, 4
"""Of their names together whatever its size; beyond, no more than so many for each of its bytes."""
NO_NAME = "a tensor under a key that is neither text nor number"
SHOWN = 8
"""Names of values that are no arrays, in the metadata."""


class TorchFile:
    """The arrays of an open file that `torch.save` wrote, by the names of its dictionaries."""

    writer: str | None = "PyTorch"
    layout: Layout | None = "OIHW"
    in_order = True
    nested = True

    def __init__(self, file: BinaryIO, path: str) -> None:
        self.path = path
        first = file.read(len(OLD_START))
        file.seek(0)
        try:
            self._form: _ZipForm | _OldForm = _ZipForm(file) if first.startswith(b"PK") else _OldForm(file)
            root = self._form.read.value
            if isinstance(root, Other):
                raise PickleError(f"expected a dictionary of tensors, found an object of {_clean(root.name)}: {SAVE}")
            self._tensors, others = _sorted_out(self._form.read)
        except PickleError as error:
            raise WeightsError("G315", f"{path}: {error}") from None
        self.format = self._form.name
        self.metadata: Mapping[str, str] = {OTHERS: others} if others else {}
        for name, tensor in self._tensors.items():
            check_array(path, name, tensor.shape)

    @property
    def names(self) -> list[str]:
        return list(self._tensors)

    def entry(self, name: str) -> Entry:
        """Shape and type of an array."""
        tensor = self._tensors[name]
        return Entry(tensor.shape, tensor.storage.dtype)

    def read(self, name: str) -> Array:
        """The array, of any shape, as float32."""
        check_floats(self.path, name, self.entry(name))
        tensor = self._tensors[name]
        storage = tensor.storage
        last = tensor.offset + sum((size - 1) * step for size, step in zip(tensor.shape, tensor.strides, strict=True))
        count = math.prod(tensor.shape)
        try:
            if count and last >= storage.count:
                raise PickleError(f"expected numbers up to the {last + 1:,}th, found {storage.count:,}")
            if count > storage.count:
                raise PickleError(f"expected at most {storage.count:,} numbers, found {count:,} that repeat them")
            numbers = self._form.numbers(storage)
        except PickleError as error:
            raise WeightsError("G315", f"{self.path}: {name}: {error}") from None
        if not count:
            return np.empty(tensor.shape, np.float32)
        kind = FLOATS[storage.dtype]
        steps = [step * kind.size if size > 1 else 0 for size, step in zip(tensor.shape, tensor.strides, strict=True)]
        view = np.ndarray(tensor.shape, numbers.dtype, numbers.data, tensor.offset * kind.size, steps)
        return kind.as_float32(view)


def _sorted_out(read: Read) -> tuple[dict[str, Tensor], str]:
    """(the tensors by name, the names of what else there is)."""
    tensors: dict[str, Tensor] = {}
    others: list[str] = []
    count = letters = 0
    most = min(MAX_ENTRIES, max(FEW_ARRAYS, MAX_PLACES * read.tensors))
    most_letters = max(FEW_LETTERS, MAX_LETTERS * read.size)
    for path, key, value in _tensors_in(read.value, min(MAX_VALUES, max(FEW, read.operations))):
        if not isinstance(value, Tensor):
            count += 1
            if len(others) < SHOWN:
                name = _joined(path, key)[:100] or "tensor"
                others.append(_clean(f"{name} ({value.name})" if isinstance(value, Other) else name))
            continue
        name = _joined(path, key) or "tensor"
        letters += len(name)
        if len(name) > MAX_NAME:
            raise PickleError(f"expected names of at most {MAX_NAME:,} characters, found longer ones")
        if name in tensors:
            raise PickleError(f"expected arrays of different names, found two of {_clean(name)}")
        if len(tensors) == most:
            raise PickleError(f"expected at most {most:,} arrays, found more")
        if letters > most_letters:
            raise PickleError(f"expected names of at most {most_letters:,} characters together, found more")
        tensors[name] = value
    if not tensors:
        raise PickleError(f"expected a dictionary of tensors, found none: {SAVE}")
    return tensors, ", ".join(others) + (f" and {count - SHOWN} more" if count > SHOWN else "")


def _joined(path: str, key: Any) -> str:
    """A name within a dictionary."""
    name = "a key that is no text" if isinstance(key, Other) else str(key)
    return f"{path}/{name}" if path else name


def _tensors_in(root: Any, most: int) -> Iterator[tuple[str, Any, Any]]:
    """(path, key, value) of all that is in a value of dictionaries and lists, the names of dictionaries within each
    other joined by `/`; tensors under keys that are no names come as an `Other`."""
    if isinstance(root, Tensor):
        yield "", "", root
        return
    levels = [("", True, _items(root))]
    seen = 0
    while levels:
        path, named, items = levels[-1]
        for key, value in items:
            seen += 1
            if seen > most:
                raise PickleError(f"expected at most {most:,} values, found more")
            inside = named and not isinstance(key, Other)
            if isinstance(value, dict | list | tuple):
                if len(levels) > MAX_DEPTH:
                    raise PickleError(f"expected at most {MAX_DEPTH} dictionaries within each other, found more")
                if isinstance(key, str) and len(path) + len(key) >= MAX_NAME:
                    raise PickleError(f"expected names of at most {MAX_NAME:,} characters, found longer ones")
                levels.append((_joined(path, key), inside, _items(value)))
                break
            yield path, key, Other(NO_NAME) if isinstance(value, Tensor) and not inside else value
        else:
            levels.pop()


def _items(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, dict):
        return iter(value.items())
    return iter(enumerate(value if isinstance(value, list | tuple) else ()))


def _clean(name: str) -> str:
    return shown(name[:100])


class _ZipForm:
    """A zip archive: `data.pkl`, and a file for each storage."""

    name = "PyTorch, zip"

    def __init__(self, file: BinaryIO) -> None:
        try:
            check_directory(file)
            self._zip = zipfile.ZipFile(file)
        except BROKEN as error:
            raise PickleError(f"expected a file of torch.save, found {error}") from None
        members: dict[str, zipfile.ZipInfo] = {}
        for info in self._zip.infolist():
            if info.filename != info.orig_filename:
                raise PickleError(f"expected files of one name each, found two of {_clean(info.filename)}")
            if members.setdefault(info.filename.lower(), info) is not info:  # as PyTorch finds them
                raise PickleError(f"expected files of different names in it, found two of {_clean(info.filename)}")
        self._members = members
        pickles = [name for name in members if name.endswith("/data.pkl") and name.count("/") == 1]
        if len(pickles) != 1:
            raise PickleError(f"expected one data.pkl in it, found {len(pickles)}")
        self._top = pickles[0].removesuffix("data.pkl")
        if f"{self._top}constants.pkl" in members:
            raise PickleError(f"expected a dictionary of tensors, found a TorchScript program: {SAVE}")
        order = self._bytes(f"{self._top}byteorder", 16) if f"{self._top}byteorder" in members else b"little"
        if order.strip() not in (b"little", b"big"):
            raise PickleError("expected the byte order little or big, found something else")
        self._order = ">" if order.strip() == b"big" else "<"
        if members[pickles[0]].file_size > MAX_PICKLE:
            raise PickleError(f"expected a pickle of at most {MAX_PICKLE:,} bytes, found more")
        self.read = _read(io.BytesIO(self._bytes(pickles[0], MAX_PICKLE)))
        if self.read.parts:
            raise PickleError("expected whole storages, found a part of one, which only the older form has")
        self._last: tuple[str, Array] | None = None

    def numbers(self, storage: Storage) -> Array:
        """All numbers of a storage, [N], as they are stored."""
        name = f"{self._top}data/{storage.key.lower()}"
        size = storage.count * storage.itemsize
        if self._order == ">" and storage.turned not in (0, storage.itemsize):
            other = f"a storage of numbers of {counted(storage.turned, 'byte')}, in the order of another machine"
            raise PickleError(f"expected a storage of {storage.dtype}, found {other}")
        if self._last is not None and self._last[0] == name and self._last[1].nbytes == size:
            return self._last[1].view(f"{self._order}{FLOATS[storage.dtype].stored}")
        if name not in self._members:
            raise PickleError(f"expected the file {_clean(name)} in it, found none")
        if self._members[name].file_size != size:
            raise PickleError(f"expected {size:,} bytes, found {self._members[name].file_size:,}")
        found = self._bytes(name, size)
        if len(found) != size:
            raise PickleError(f"expected {size:,} bytes, found {len(found):,}")
        data = np.frombuffer(found, f"{self._order}{FLOATS[storage.dtype].stored}")
        self._last = name, data
        return data

    def _bytes(self, name: str, most: int) -> bytes:
        if self._members[name].file_size > most:
            raise PickleError(f"expected at most {most:,} bytes, found {self._members[name].file_size:,}")
        try:
            with self._opened(name) as member:
                data: bytes = member.read()
                return data
        except BROKEN as error:
            raise PickleError(f"the file is damaged or cut off: {_clean(str(error))}") from None

    def _opened(self, name: str) -> Any:
        info = self._members[name]
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
            raise PickleError(f"expected data as torch.save writes them, found {_clean(name)} compressed or encrypted")
        try:
            return self._zip.open(info)
        except BROKEN as error:
            raise PickleError(f"the file is damaged or cut off: {_clean(str(error))}") from None


class _OldForm:
    """Five pickles, then the storages one after the other, each behind the number of its numbers."""

    name = "PyTorch, before 1.6"

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = file.seek(0, 2)
        file.seek(0)
        if _read(file).value != MAGIC:
            raise PickleError("expected a file of torch.save, found another pickle, or none")
        version = _read(file).value
        _read(file)  # of the machine that wrote it, whatever its byte order: numbers are little-endian
        if version != VERSION:
            raise PickleError(f"expected the form {VERSION} of torch.save's files, found another")
        self.read = _read(file)
        storages = self.read.storages
        keys = _read(file).value
        if not isinstance(keys, list) or len(keys) > MAX_STORAGES or not all(isinstance(key, str) for key in keys):
            raise PickleError("expected the names of the storages, found something else")
        self._places: dict[str, tuple[int, int]] = {}
        at = file.tell()
        for key in keys:
            file.seek(at)
            count = int.from_bytes(file.read(8), "little")
            end = at + 8 + count * (storages[key].itemsize if key in storages else 0)
            if key not in storages or key in self._places or end > self._size or count != storages[key].count:
                raise PickleError(f"the storage {_clean(key)} is not as expected: the file is damaged or cut off")
            self._places[key] = at + 8, end
            at = end
        if at != self._size:
            raise PickleError(f"expected a file of {at:,} bytes, found {self._size:,}")

    def numbers(self, storage: Storage) -> Array:
        """All numbers of a storage, [N], as they are stored."""
        if storage.key not in self._places:
            raise PickleError(f"expected the storage {_clean(storage.key)}, found none")
        start, end = self._places[storage.key]
        first, size = start + storage.start * storage.itemsize, storage.count * storage.itemsize
        if first + size > end:
            raise PickleError(f"expected {size:,} bytes, found {max(end - first, 0):,}")
        self._file.seek(first)
        data = self._file.read(size)
        return np.frombuffer(data, f"<{FLOATS[storage.dtype].stored}")


def _read(file: Any) -> Read:
    try:
        return read_pickle(file)
    except BROKEN as error:  # of the zip archive that the pickle lies in
        raise PickleError(f"the file is damaged or cut off: {_clean(str(error))}") from None
