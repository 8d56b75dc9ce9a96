"""--max-memory: what reading a data set takes at its peak is what its arrays have, and little more."""

from __future__ import annotations

import gzip
import subprocess
import sys

import numpy as np
import pytest

from graphc.data.idx import write_idx
from graphc.data.sources import Cifar10, Coco, Idx, ImageList, Npz
from graphc.errors import DataError

COUNT = 20_000
BYTES = 785 * COUNT
"""Of arrays of bytes, 28×28 with a label."""
READ = """
import re, sys
from pathlib import Path
from graphc.data.sources import SOURCES
def status(name):
    return int(re.search(name + r":\\s*(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024
kind, settings = sys.argv[1], eval(sys.argv[2])
source = next(each for each in SOURCES if each.kind == kind)(**settings)
Path("/proc/self/clear_refs").write_text("5")
before = status("VmHWM")
examples = source.load(Path(sys.argv[3]), 2**40)
arrays = (*examples.inputs.values(), *examples.targets.values())
print(status("VmHWM") - before, sum(each.nbytes for each in arrays))
"""


def images(dtype="u1"):
    return np.random.default_rng(0).integers(0, 255, (COUNT, 28, 28), dtype=np.uint8).astype(dtype)


def labels():
    return (np.arange(COUNT) % 10).astype(np.uint8)


def idx(folder, dtype="u1", zipped=False):
    write_idx(folder / "images", images(dtype))
    write_idx(folder / "labels", labels())
    if zipped:
        (folder / "images").write_bytes(gzip.compress((folder / "images").read_bytes(), 1))
    return "idx", {"images": "images", "labels": "labels"}


def npz(folder, save=np.savez, **arrays):
    save(folder / "data.npz", **{"x": images(), "y": labels(), **arrays})
    return "npz", {"path": "data.npz"}


def cifar(folder):
    records = np.random.default_rng(0).integers(0, 9, (2000, 3073), dtype=np.uint8)
    for name in ("a.bin", "b.bin", "c.bin"):
        records.tofile(folder / name)
    return "cifar10", {"files": ["a.bin", "b.bin", "c.bin"]}


MADE = {
    "idx": idx,
    "idx, float32": lambda folder: idx(folder, ">f4"),
    "idx.gz": lambda folder: idx(folder, zipped=True),
    "npz": npz,
    "npz, compressed": lambda folder: npz(folder, np.savez_compressed),
    "npz, Fortran order": lambda folder: npz(folder, x=np.asfortranarray(images())),
    "npz, big-endian": lambda folder: npz(folder, x=images(">f4")),
    "cifar10": cifar,
}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the most memory is measured by /proc")
@pytest.mark.parametrize("make", MADE.values(), ids=MADE)
def test_what_is_read_is_there_once(tmp_path, make):
    kind, settings = make(tmp_path)
    command = [sys.executable, "-c", READ, kind, repr(settings), str(tmp_path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    peak, given = map(int, said.split())
    assert given >= BYTES
    assert peak < given + 6 * 2**20


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["u1", "<f4", ">f4", ">i8"])
def test_values_do_not_depend_on_how_they_are_stored(tmp_path, order, dtype):
    array = np.arange(2 * 300 * 500).reshape(2, 300, 500).astype(dtype)
    np.savez(tmp_path / "data.npz", x=np.asarray(array, order=order), y=[0, 1])
    found = Npz(path="data.npz").load(tmp_path, 2**30).inputs["image"]
    np.testing.assert_array_equal(found, array)
    assert found.dtype.isnative
    assert found.flags.c_contiguous


def test_labels_count_as_they_are_held(tmp_path):
    idx(tmp_path)
    with pytest.raises(DataError, match="20000 values of 8 bytes are 160,000 bytes, the limit is 50,000"):
        Idx(images="images", labels="labels").load(tmp_path, BYTES + 30_000)
    np.savez(tmp_path / "data.npz", x=np.zeros((9, 2, 2), np.uint8), y=np.zeros((9, 2, 2), np.uint8))
    with pytest.raises(DataError, match="9×2×2 values of 8 bytes are 288 bytes, the limit is 228"):
        Npz(path="data.npz").load(tmp_path, 300)


def test_several_files_are_one_size(tmp_path):
    kind, settings = cifar(tmp_path)
    assert kind == "cifar10"
    with pytest.raises(DataError, match=r"6000×3080 values of 1 bytes are 18,480,000 bytes, the limit is 15,000,000"):
        Cifar10(**settings).load(tmp_path, 15_000_000)


@pytest.mark.parametrize(
    ("source", "each"),
    [(ImageList(path="list.csv", size=(4, 4)), 26), (Coco(path="list.csv", size=(4, 4)), 12)],
    ids=["list", "coco"],
)
def test_lists_are_refused_by_their_size(tmp_path, source, each):
    (tmp_path / "list.csv").write_bytes(b"image,label\n" + b"a.png,cat\n" * 1000)
    with pytest.raises(
        DataError, match=f"a list of 10,012 bytes takes about {each} times that in memory, the limit is 99"
    ):
        source.load(tmp_path, 99_999)
