"""Tar archives by hand: headers whose sizes are no sizes."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from graphc.data.reading import open_regular
from graphc.data.tars import tar_members
from graphc.data.webdataset import shard_paths
from graphc.errors import DataError
from tests.costs import little

END = bytes(1024)


def member(name: str, data: bytes = b"", kind: bytes = b"0", size: bytes | None = None) -> bytes:
    """A member of the ustar form; `size`: of 12 bytes, where it is to be another than the data's."""
    head = bytearray(struct.pack("100s8s8s8s", name.encode(), b"0000644", b"0000000", b"0000000"))
    head += (b"%011o\0" % len(data) if size is None else size) + b"%011o\0" % 0
    head += b" " * 8 + kind + bytes(100) + b"ustar\00000"
    head = head.ljust(512, b"\0")
    head[148:156] = b"%06o\0 " % sum(head)
    return bytes(head) + data + bytes(-len(data) % 512)


def binary(size: int) -> bytes:
    """A size as GNU tar writes large and negative ones."""
    return (size % 256**12 | (0x80 << 88 if size >= 0 else 0)).to_bytes(12, "big")


def record(key: str, value: str) -> bytes:
    """A pax header with one record."""
    return records({key: value})


def records(said: dict[str, str], kind: bytes = b"x") -> bytes:
    """A pax header: `x` of the next member, `g` of all that follow."""
    data = b""
    for key, value in said.items():
        body = f" {key}={value}\n"
        length = len(body) + 2 if len(body) < 98 else len(body) + 3
        text = f"{length}{body}".encode()
        assert len(text) == length
        data += text
    return member("pax", data, kind)


def names_of(path: Path, data: bytes) -> list[str]:
    path.write_bytes(data)
    with open_regular(path) as file:
        return [each.name for each in tar_members(file, path, "expected a tar")]


GOOD = member("a", b"1")
SIZES = {
    "an unknown member that ends where it begins": member("z", kind=b"Z", size=binary(-512)),
    "a file that ends where it begins": member("z", size=binary(-512)),
    "a file that ends before": member("z", size=binary(-1024)),
    "a record of a negative size": record("size", "-512") + member("z", kind=b"Z"),
    "a record of a size that no file has": record("size", "9" * 30) + member("z"),
    "records of more than there is": member("p", kind=b"x", size=binary(2**60)),
    "records of 8 GB": member("p", kind=b"x", size=b"77777777777\0"),
    "records of a negative size": member("p", kind=b"x", size=binary(-512)),
    "a long name of 8 GB": member("p", kind=b"L", size=b"77777777777\0"),
    "long names of 2 MB together": member("p", b"n" * 10_000, kind=b"L") * 200 + member("z"),
    "a thousand records for all members": records({f"record{n}": "" for n in range(1_001)}, b"g") + member("z"),
    "headers within headers": member("p", b"x", kind=b"x") * 1_500,
}


@pytest.mark.posix
@pytest.mark.parametrize("name", SIZES)
def test_sizes_that_are_none(tmp_path, name):
    with little(), pytest.raises(DataError, match="expected a tar"):
        names_of(tmp_path / "a.tar", GOOD + SIZES[name] + END)


def test_members_of_all_kinds_are_gone_through(tmp_path):
    data = GOOD + member("d/", kind=b"5") + record("path", "long") + member("b", b"2") + member("z", kind=b"Z") + END
    assert names_of(tmp_path / "a.tar", data) == ["a", "d", "long", "z"]


PATTERNS = {
    "many braces": ("{a}" * 160, ["a" * 160]),
    "more than are names": ("{a}" * 2_000, "at most 500 characters, found 6,000"),
    "long names of many": ("a" * 100_000 + "{0..99999}", "at most 500 characters"),
    "too many": ("{a,b}" * 17, "at most 100,000 shards"),
    "braces within braces": ("{a{b}}", "a } for every {"),
    "one behind the other": ("{1..2}{a,b}", ["1a", "1b", "2a", "2b"]),
}


@pytest.mark.posix
@pytest.mark.parametrize("name", PATTERNS)
def test_patterns_of_shards(name):
    pattern, wanted = PATTERNS[name]
    with little():
        if isinstance(wanted, list):
            assert shard_paths(pattern) == wanted
        else:
            with pytest.raises(DataError, match=wanted):
                shard_paths(pattern)
