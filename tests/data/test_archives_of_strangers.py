"""Archives that say two things at once, or much with few bytes."""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from graphc.data.class_folders import Rules, Tree, classes_of
from graphc.data.left_out import LeftOut
from graphc.data.sources import Archive
from graphc.data.sources.shards import WebDataset
from graphc.errors import DataError
from graphc.inference import as_type
from tests.costs import little

LIMIT = 10_000_000


def png():
    file = io.BytesIO()
    Image.new("RGB", (4, 4)).save(file, "PNG")
    return file.getvalue()


def tar(path, members):
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def test_a_tar_whose_last_member_is_a_zip_is_a_tar(tmp_path):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("x/1.png", png())
        archive.writestr("y/1.png", png())
    tar(tmp_path / "a.tar", {"cat/1.png": png(), "dog/1.png": png(), "inner.zip": inner.getvalue()})
    assert Archive(path="a.tar", size=(4, 4)).load(tmp_path, LIMIT).classes == ("cat", "dog")


def test_members_of_a_zip_that_share_bytes_are_refused(tmp_path):
    data, names = png(), [f"{number}/a.png".encode() for number in range(9)]
    sizes = struct.pack("<III", zlib.crc32(data), len(data), len(data))
    local = struct.pack("<4s10x", b"PK\3\4") + sizes + struct.pack("<HH", len(names[0]), 0) + names[0] + data
    entry = struct.pack("<4s12x", b"PK\1\2") + sizes
    directory = b"".join(entry + struct.pack("<HHHHHII", len(name), 0, 0, 0, 0, 0, 0) + name for name in names)
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, len(names), len(names), len(directory), len(local), 0)
    (tmp_path / "a.zip").write_bytes(local + directory + end)
    with pytest.raises(DataError, match="members that overlap at byte 0"):
        Archive(path="a.zip", size=(4, 4)).load(tmp_path, LIMIT)


def test_many_folders_take_no_longer_than_in_proportion():
    rules = Rules("a.zip", str, skip=True)
    with little():
        found = classes_of(Tree([f"{number}/a.png" for number in range(20_000)]), rules, LeftOut())
        assert len(found.names) == 20_000
        files = [*(f"{number}/a.heic" for number in range(20_000)), "a/1.png", "b/1.png"]
        assert classes_of(Tree(files), rules, LeftOut()).names == ("a", "b")


def test_json_with_a_key_twice_is_refused(tmp_path):
    tar(tmp_path / "a.tar", {"1.png": png(), "1.json": b'{"label": 0, "label": 1}'})
    with pytest.raises(DataError, match="the key 'label' stands twice"):
        WebDataset(path="a.tar", size=(4, 4), targets={"label": "json.label"}).load(tmp_path, LIMIT)


def test_an_index_without_the_examples_that_were_left_out_is_made_anew(tmp_path):
    tar(tmp_path / "a.tar", {"1.png": png(), "1.cls": b"0", "2.cls": b"1"})

    def load(bad_files):
        return WebDataset(path="a.tar", size=(4, 4), index="i.npz", bad_files=bad_files).load(tmp_path, LIMIT)

    assert len(load("skip")) == 1
    with pytest.raises(DataError, match=r"expected one image, found \.cls"):
        load("error")


def test_numbers_that_a_smaller_type_cannot_hold_are_refused():
    with pytest.raises(DataError, match="expected numbers of float32, got larger ones"):
        as_type(np.array([1e39]), "float32", "a.npy")
    assert np.isinf(as_type(np.array([np.inf]), "float32", "a.npy")).all()
