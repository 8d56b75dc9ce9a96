"""Tensors of ONNX files that somebody else may have made, and their data in files beside the model."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import onnx
from google.protobuf.message import Message
from onnx import TensorProto

from graphc.errors import WeightsError
from graphc.files import brief, for_reading, shown
from graphc.system import NotPlain, is_plain_name, open_below

LISTS = ("float_data", "int32_data", "string_data", "int64_data", "double_data", "uint64_data")
"""Fields that hold a tensor's data, beside raw_data."""
DATA_KEYS = {"location", "offset", "length", "checksum"}
TYPE_NAMES = {number: name for name, number in TensorProto.DataType.items()}
BITS = {
    **dict.fromkeys(("INT4", "UINT4", "FLOAT4E2M1"), 4),
    **dict.fromkeys(("BOOL", "INT8", "UINT8", "FLOAT8E4M3FN", "FLOAT8E4M3FNUZ", "FLOAT8E5M2", "FLOAT8E5M2FNUZ"), 8),
    **dict.fromkeys(("INT16", "UINT16", "FLOAT16", "BFLOAT16"), 16),
    **dict.fromkeys(("INT32", "UINT32", "FLOAT"), 32),
    **dict.fromkeys(("INT64", "UINT64", "DOUBLE", "COMPLEX64"), 64),
    "COMPLEX128": 128,
}
"""Of one number, by the name of a tensor's type; only such tensors may lie in other files."""


MOST_AXES = 64
"""Of a tensor."""
MOST_PARTS, BYTES_OF_A_PART = 100_000, 12
"""Messages in a model, and as many more as its bytes hold of so many each: written by anybody they are longer, and in
memory they take a hundred times as many as the shortest."""
MOST_TENSORS = 10_000
"""Whose data lie in files beside the model."""
MOST_TIMES = 4
"""As many times over may tensors name the bytes of a file beside the model: some are there for two of them."""
NARROW = {
    **dict.fromkeys(("FLOAT16", "BFLOAT16", "UINT16"), (0, 2**16 - 1)),
    **dict.fromkeys(("UINT8", "INT4", "UINT4", "FLOAT4E2M1"), (0, 2**8 - 1)),
    **dict.fromkeys(("FLOAT8E4M3FN", "FLOAT8E4M3FNUZ", "FLOAT8E5M2", "FLOAT8E5M2FNUZ"), (0, 2**8 - 1)),
    "BOOL": (0, 1), "INT8": (-(2**7), 2**7 - 1), "INT16": (-(2**15), 2**15 - 1),
}  # fmt: skip
"""What int32_data may hold of narrower types: some readers keep the last bits of other numbers."""


def check_tensors(model: onnx.ModelProto, path: Path) -> list[TensorProto]:
    """The tensors whose data lie in files beside the model; a WeightsError where one is not as it should be."""
    found = []
    taken: dict[tuple[int, int], int] = {}
    most = MOST_PARTS + model.ByteSize() // BYTES_OF_A_PART
    for tensor, in_graph in tensors_of(model, path, most):
        if not is_external(tensor, path):
            check_numbers(tensor, path)
            continue
        if not in_graph:
            what = f"{shown(path)}: {brief(tensor.name)}: external data outside of the graph"
            raise WeightsError("G312", f"{what}: expected the data of functions and of training in the model itself")
        with open_external(tensor, path) as file:
            status = os.fstat(file.fileno())
            key = status.st_dev, status.st_ino
            taken[key] = taken.get(key, 0) + external_size(tensor)
            if taken[key] > MOST_TIMES * status.st_size:
                what = f"{shown(path)}: {brief(tensor.name)}: external data in a file of {status.st_size:,} bytes"
                message = f"expected tensors of at most {MOST_TIMES} times as many, found {taken[key]:,} and more"
                raise WeightsError("G312", f"{what}: {message}")
            found.append(tensor)
            if len(found) > MOST_TENSORS:
                message = f"expected at most {MOST_TENSORS:,} tensors in files beside the model, found more"
                raise WeightsError("G312", f"{shown(path)}: {message}")
    return found


def check_numbers(tensor: TensorProto, path: Path) -> None:
    """A WeightsError where a tensor is a part of another, or holds numbers that its type has not."""
    if tensor.HasField("segment"):
        raise WeightsError(
            "G311", f"{shown(path)}: {brief(tensor.name)}: expected a whole tensor, found a segment of one"
        )
    limits = NARROW.get(TYPE_NAMES.get(tensor.data_type, "")) if tensor.int32_data else None
    if limits is not None and not (limits[0] <= min(tensor.int32_data) and max(tensor.int32_data) <= limits[1]):
        found = next(each for each in tensor.int32_data if not limits[0] <= each <= limits[1])
        kind, name = TYPE_NAMES[tensor.data_type], brief(tensor.name)
        raise WeightsError(
            "G311", f"{shown(path)}: {name}: expected {limits[0]} to {limits[1]} of {kind}, found {found}"
        )


def tensors_of(model: onnx.ModelProto, path: Path, most: int) -> Iterator[tuple[TensorProto, bool]]:
    """Every tensor, wherever one may stand, and whether it belongs to the graph (not to a function or to training).

    A UnicodeDecodeError where a text is not UTF-8; a WeightsError where the model has more than `most` messages.
    """
    count = 0

    def look_at(message: Message) -> None:
        nonlocal count
        count += sum(len(value) for field, value in message.ListFields() if field.message_type and _is_list(value))
        if count > most:
            expected = f"expected at most {most:,} parts in a file of that size, found more"
            raise WeightsError("G310", f"{shown(path)}: {expected}")

    look_at(model)
    for field, part in _inner(model):
        waiting = [part]
        while waiting:
            message = waiting.pop()
            look_at(message)
            if isinstance(message, TensorProto):
                yield message, field == "graph"
            else:
                waiting += [inner for _, inner in _inner(message)]


def _is_list(value: object) -> bool:
    return not isinstance(value, Message)


def _inner(message: Message) -> Iterator[tuple[str, Message]]:
    """The messages in a message, with their fields' names; its texts are decoded."""
    for field, value in message.ListFields():
        if field.message_type is not None:
            yield from ((field.name, each) for each in ([value] if isinstance(value, Message) else value))
        elif field.type == field.TYPE_STRING:
            for each in [value] if isinstance(value, (str, bytes)) else value:
                decoded(each)


def decoded(text: str | bytes) -> str:
    """A text of a protobuf; some of its readers give those that are not UTF-8 as bytes, where others raise the error
    that this raises."""
    return text if isinstance(text, str) else text.decode()


def is_external(tensor: TensorProto, path: Path) -> bool:
    """Whether its data lie elsewhere; a tensor with two places shows readers other numbers than runtimes use."""
    decoded(tensor.name)
    external = bool(tensor.data_location == TensorProto.EXTERNAL)
    there = {field.name for field, _ in tensor.ListFields()}
    if (external or "external_data" in there) + len(there.intersection(("raw_data", *LISTS))) > 1:
        raise WeightsError("G311", f"{shown(path)}: {brief(tensor.name)}: its data are in more than one place")
    return external


def read_external(tensor: TensorProto, path: Path) -> bytes:
    """The tensor's data from the file beside the model."""
    with open_external(tensor, path) as file:
        length = external_size(tensor)
        data = file.read(length)
    if len(data) != length:
        raise WeightsError("G312", f"{shown(path)}: {brief(tensor.name)}: its external data end early")
    return data


def external_size(tensor: TensorProto) -> int:
    """Bytes of data that a checked tensor has."""
    count = 1
    for size in tensor.dims:
        count *= size
    return (count * BITS[TensorProto.DataType.Name(tensor.data_type)] + 7) // 8


def open_external(tensor: TensorProto, path: Path) -> BinaryIO:
    """The plain file beside the model that holds the tensor's data, at their start.

    It is opened without following links, and what is open is what was checked.
    """
    entries = _entries(tensor, path)
    name = entries.get("location", "")
    wrong = f"{shown(path)}: {brief(tensor.name)}: external data in {brief(repr(name))}"
    if not is_plain_name(name) or "/" in name or "\\" in name:
        raise WeightsError("G312", f"{wrong}: expected the name of a file beside the model")
    try:
        file = for_reading(open_below(path.absolute().parent, name), path.with_name(name))
    except NotPlain as problem:
        raise WeightsError("G312", f"{wrong}: expected a plain file, found {problem.found}") from None
    except (FileNotFoundError, NotADirectoryError):
        raise WeightsError("G312", f"{wrong}: there is no such file") from None
    except OSError as problem:
        raise WeightsError("G312", f"{wrong}: {problem.strerror or 'it cannot be opened'}") from None
    try:
        file.seek(_offset(tensor, entries, os.fstat(file.fileno()), wrong))
    except BaseException:
        file.close()
        raise
    return file


def _entries(tensor: TensorProto, path: Path) -> dict[str, str]:
    """What a tensor says of its external data."""
    where = f"{shown(path)}: {brief(tensor.name)}: external data"
    entries: dict[str, str] = {}
    for entry in tensor.external_data:
        try:
            key, value = decoded(entry.key), decoded(entry.value)
        except UnicodeDecodeError:
            raise WeightsError("G312", f"{where}: expected keys and values in UTF-8") from None
        if key not in DATA_KEYS:
            raise WeightsError("G312", f"{where}: unknown keys {brief(key)}; expected {', '.join(sorted(DATA_KEYS))}")
        if key in entries:
            raise WeightsError("G312", f"{where}: the key {key} is there twice")
        entries[key] = value
    return entries


def _offset(tensor: TensorProto, entries: dict[str, str], status: os.stat_result, wrong: str) -> int:
    """Where in the file the data begin; a WeightsError where they are not as long as the tensor's shape says."""
    kind = TYPE_NAMES.get(tensor.data_type, f"type {tensor.data_type}")
    if len(tensor.dims) > MOST_AXES:
        raise WeightsError("G312", f"{wrong}: expected at most {MOST_AXES} axes, found {len(tensor.dims):,}")
    if kind not in BITS or any(size < 0 for size in tensor.dims):
        raise WeightsError("G312", f"{wrong}: expected numbers, found {kind} of the shape {list(tensor.dims)}")
    needed = external_size(tensor)
    offset, length = (
        _number(entries.get(key, str(default)), wrong) for key, default in (("offset", 0), ("length", needed))
    )
    if offset < 0 or length < 0 or offset + length > status.st_size or not stat.S_ISREG(status.st_mode):
        raise WeightsError("G312", f"{wrong}: bytes {offset} to {offset + length} of {status.st_size}")
    if length != needed:
        raise WeightsError("G312", f"{wrong}: expected {needed:,} bytes for its shape, found {length:,}")
    return offset


def _number(text: str, wrong: str) -> int:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 20):
        raise WeightsError("G312", f"{wrong}: offset and length are not numbers")
    return int(text)
