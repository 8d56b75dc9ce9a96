"""Sources as a recipe writes them."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from graphc.data.idx import write_idx
from graphc.data.sources import OWN, Cifar10, Digits, Idx, ImageFolder, Npz, WebDataset
from graphc.errors import DataError
from tests.data.shards import write_shard

LIMIT = 10_000_000


def _npz(folder):
    np.savez(folder / "a.npz", x=np.zeros((3, 2, 2, 1)), y=np.array([1, 0, 1], np.uint8))
    return Npz(path="a.npz")


def _idx(folder):
    write_idx(folder / "i.gz", np.zeros((3, 2, 2), np.uint8))
    write_idx(folder / "l.gz", np.array([1, 0, 1], np.uint8))
    return Idx(images="i.gz", labels="l.gz")


def _cifar(folder):
    (folder / "b.bin").write_bytes(b"".join(bytes([label]) + bytes(3072) for label in (1, 0, 1)))
    return Cifar10(files="b.bin")


def _folder(folder):
    for name, count in (("a", 1), ("b", 2)):
        (folder / name).mkdir()
        for index in range(count):
            Image.new("RGB", (4, 4)).save(folder / name / f"{index}.png")
    return ImageFolder(path=".", size=(2, 2))


def _webdataset(folder):
    for number, labels in enumerate(((1,), (0, 1))):
        files = [(f"{at}.{ending}", data) for at, label in enumerate(labels) for ending, data in _sample(label)]
        write_shard(folder / f"s-{number}.tar", files)
    return WebDataset(path="s-{0..1}.tar", size=(2, 2))


def _sample(label):
    image = io.BytesIO()
    Image.new("RGB", (4, 4), (label, 0, 0)).save(image, "PNG")
    return [("png", image.getvalue()), ("cls", str(label).encode())]


MAKERS = {"npz": _npz, "idx": _idx, "cifar10": _cifar, "image_folder": _folder, "webdataset": _webdataset}


def test_every_source_is_tried_here():
    elsewhere = {"digits", "archive", "list", "coco", "shapes"}  # the last four in test_annotated.py
    assert {*MAKERS} | elsewhere == {source.kind for source in OWN}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_sources_give_images_and_whole_labels(tmp_path, make):
    examples = make(tmp_path).load(tmp_path, LIMIT)
    assert len(examples) == 3
    assert examples.targets["label"].dtype == np.int64
    assert sorted(examples.targets["label"]) in ([0, 1, 1],)
    assert len(examples.inputs["image"]) == 3


def test_digits_are_split_by_every_fifth():
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    parts = {part: Digits(part=part).load(None, LIMIT) for part in ("train", "test", "all")}
    assert [len(parts[part]) for part in ("train", "test", "all")] == [1437, 360, 1797]
    assert parts["all"].inputs["image"].shape == (1797, 8, 8, 1)
    assert parts["all"].inputs["image"].max() == 1


def test_several_inputs_and_targets(tmp_path):
    np.savez(tmp_path / "a.npz", left=np.zeros((3, 2)), right=np.ones((3, 2)), mask=np.zeros((3, 2)), w=np.ones(3))
    source = Npz(path="a.npz", inputs={"l": "left", "r": "right"}, targets={"mask": "mask", "weight": "w"})
    examples = source.load(tmp_path, LIMIT)
    assert examples.inputs["r"].all()
    assert set(examples.targets) == {"mask", "weight"}


def test_arrays_stay_in_the_file(tmp_path):
    x, y = np.arange(24, dtype=np.uint8).reshape(3, 2, 4, 1), np.array([2, 0, 1])
    np.savez(tmp_path / "a.npz", x=x, y=y, f=np.asfortranarray(x))
    examples = Npz(path="a.npz", mmap=True).load(tmp_path, 1)
    assert isinstance(examples.inputs["image"], np.memmap)
    np.testing.assert_array_equal(examples.inputs["image"], x)
    np.testing.assert_array_equal(examples.targets["label"], y)
    np.testing.assert_array_equal(Npz(path="a.npz", inputs="f", mmap=True).load(tmp_path, 1).inputs["image"], x)
    np.savez_compressed(tmp_path / "b.npz", x=x, y=y)
    with pytest.raises(DataError, match="only arrays that are not compressed can be mapped"):
        Npz(path="b.npz", mmap=True).load(tmp_path, LIMIT)
    whole = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "c.npz").write_bytes(whole.replace(b"(3, 2, 4, 1)", b"(9, 9, 9, 9)"))
    with pytest.raises(DataError, match=r"the file ends before|the array is damaged or cut off"):
        Npz(path="c.npz", mmap=True).load(tmp_path, LIMIT)


def test_fewer_labels_than_images(tmp_path):
    _idx(tmp_path)
    write_idx(tmp_path / "l.gz", np.array([1, 0], np.uint8))
    with pytest.raises(DataError, match="found 3 of image, 2 of label"):
        Idx(images="i.gz", labels="l.gz").load(tmp_path, LIMIT)


def test_a_number_is_not_rows(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.float32(3), y=np.zeros(1))
    with pytest.raises(DataError, match="found a number in 'x'"):
        Npz(path="a.npz").load(tmp_path, LIMIT)
