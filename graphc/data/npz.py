"""Reading .npz files of data without trusting them: no pickle, and no size believed before it is checked."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

import numpy as np

from graphc.data.examples import check_memory
from graphc.data.reading import open_regular
from graphc.errors import DataError, Place, did_you_mean
from graphc.files import shown
from graphc.types import Array
from graphc.weights.npz import Archive, Header, NpzError, array_of

TEXT_BYTES = 100
"""Bytes of memory that a text takes besides its own while it becomes a class, as measured."""


def read_npz(
    path: Path, names: Iterable[str], limit: int, mapped: bool = False, texts: Collection[str] = ()
) -> dict[str, Array]:
    """The named arrays of a file, of any shape, in their dtypes; an array that is not there is an error that lists
    those that are.

    `texts`: those that may be of texts instead of numbers. `mapped`: arrays stay in the file, and their pages are read
    when they are asked for.
    """
    with open_regular(path) as raw:
        try:
            archive = Archive(raw)
        except NpzError as error:
            raise DataError("G401", str(error), Place(shown(path))) from None
        arrays: dict[str, Array] = {}
        for name in names:
            if name not in archive.members:
                found = ", ".join(sorted(archive.members)[:10]) or "nothing"
                hint = did_you_mean(name, archive.members)
                raise DataError("G408", f"expected an array {name!r}{hint}, found {found}", Place(shown(path)))
            left = limit - sum(array.nbytes for array in arrays.values())
            try:
                arrays[name] = _array(archive, name, path, None if mapped else left, name in texts)
            except NpzError as error:
                raise DataError("G401", str(error), Place(_where(archive, name, path))) from None
        return arrays


def read_npy(path: Path) -> Array:
    """The numbers of a .npy file, of any shape, in their dtype. A header alone claims no memory."""
    with open_regular(path) as raw:
        try:
            header, read = array_of(raw)
            _check_type(header, shown(path), text=False)
            return _in_order(read())
        except NpzError as error:
            raise DataError("G401", str(error), Place(shown(path))) from None


def _array(archive: Archive, name: str, path: Path, limit: int | None, text: bool) -> Array:
    """One array in the machine's byte order and in C order; without a limit a map of the file, as it lies there."""
    header, where = archive.header(name), _where(archive, name, path)
    _check_type(header, where, text)
    if limit is None:
        start = archive.start(name)
        return np.memmap(path, header.dtype, "r", start, header.shape, "F" if header.fortran else "C")
    more = TEXT_BYTES if header.dtype.kind in "US" else 0
    check_memory(header.shape, header.dtype.itemsize + more, limit, where)
    return _in_order(archive.read(name))


def _in_order(array: Array) -> Array:
    """The array, which is overwritten, in the machine's byte order."""
    return array if array.dtype.isnative else array.byteswap(inplace=True).view(array.dtype.newbyteorder("="))


def _check_type(header: Header, where: str, text: bool) -> None:
    dtype = header.dtype
    if dtype.hasobject or dtype.kind not in ("biufUS" if text else "biuf"):
        expected = "numbers or texts" if text else "numbers"
        raise DataError("G401", f"expected {expected}, found {dtype} (object arrays are refused)", Place(where))
    if not dtype.itemsize:
        raise DataError("G401", f"the header announces the shape {header.shape} of {dtype}", Place(where))


def _where(archive: Archive, name: str, path: Path) -> str:
    return f"{shown(path)}[{archive.members[name].filename}]"
