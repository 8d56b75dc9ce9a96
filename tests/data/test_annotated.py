"""Images in folders, lists, COCO files and archives, with their annotations; shapes; and files that are bad."""

from __future__ import annotations

import io
import json
import os
import struct
import tarfile
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from graphc.data.sources import Archive, Coco, ImageFolder, ImageList, Shapes
from graphc.data.stored import StoredImages
from graphc.errors import DataError, GraphcError

LIMIT = 10_000_000


def _png(color=(255, 0, 0), size=(6, 4), mode="RGB", kind="PNG"):
    data = io.BytesIO()
    Image.new(mode, size, color).save(data, kind)
    return data.getvalue()


@pytest.fixture
def folder(tmp_path):
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(_png((number * 50, 0, 0)))
        Image.fromarray(np.full((4, 6), number, np.uint8)).save(tmp_path / f"{number}_mask.png")
    return tmp_path


def test_a_csv_list(folder):
    (folder / "a.csv").write_text(
        "image,label,left,top,right,bottom,box_label,x1,y1,x2,y2,mask\n"
        "0.png,dog,0,1,3,4,tail,1.5,2,,,0_mask.png\n"
        "1.png,cat,,,,,,3,3,4,1,1_mask.png\n"
        "0.png,,1,1,2,2,ear,,,,,\n"
    )
    found = ImageList(path="a.csv", size=(4, 6)).load(folder, LIMIT)
    assert found.classes == ("cat", "dog", "ear", "tail")
    assert found.targets["label"].tolist() == [1, 0]
    assert found.targets["boxes"].shape == (2, 2, 4)
    np.testing.assert_array_equal(found.targets["boxes"][0], [[0, 1, 3, 4], [1, 1, 2, 2]])
    assert found.targets["boxes_there"].tolist() == [[1, 1], [0, 0]]
    assert found.targets["box_label"].tolist() == [[3, 2], [-1, -1]]
    assert found.targets["points_there"].tolist() == [[1, 0], [1, 1]]
    assert found.targets["mask"][np.array([1])].tolist() == np.ones((1, 4, 6)).tolist()
    assert found.inputs["image"][np.array([1])][0, 0, 0].tolist() == [50, 0, 0]


def test_an_image_with_thousands_of_boxes_among_many_is_bounded(folder):
    crowded = [{"image": "0.png", "boxes": [[0, 0, 3, 3]] * 5000, "box_labels": [1] * 5000}]
    (folder / "a.json").write_text(json.dumps(crowded + [{"image": "2.png", "boxes": []}] * 50))
    found = ImageList(path="a.json", size=(4, 6)).load(folder, LIMIT)
    assert found.targets["boxes_there"].sum() == 5000
    with pytest.raises(DataError, match=r"51×5000×6 values of 4 bytes .* the limit is") as error:
        ImageList(path="a.json", size=(4, 6)).load(folder, 6_000_000)
    assert "0.png has 5,000 boxes, and every image gets room for as many" in error.value.notes


def test_a_json_list(folder):
    entries = [
        {"image": "0.png", "label": 2, "boxes": [[0, 0, 3, 3]], "box_labels": [1], "points": [[1, 2]]},
        {"image": "2.png", "label": 0, "points": [[None, None]]},
    ]
    (folder / "a.json").write_text(json.dumps(entries))
    found = ImageList(path="a.json", size=(4, 6)).load(folder, LIMIT)
    assert found.targets["label"].tolist() == [2, 0]
    assert found.targets["boxes"].shape == (2, 4)
    assert found.targets["boxes_there"].tolist() == [1, 0]
    assert found.targets["points_there"].tolist() == [[1], [0]]


def test_coco(folder):
    tree = {
        "images": [{"id": 7, "file_name": "0.png"}, {"id": 9, "file_name": "1.png"}],
        "categories": [{"id": 18, "name": "dog"}, {"id": 3, "name": "car"}],
        "annotations": [
            {"image_id": 9, "category_id": 18, "bbox": [1, 0, 2, 3], "keypoints": [1, 1, 2, 0, 0, 0]},
            {"image_id": 9, "category_id": 3, "bbox": [0, 0, 1, 1]},
            {"image_id": 7, "category_id": 3, "bbox": [0, 0, 9, 9], "iscrowd": 1},
        ],
    }
    (folder / "coco.json").write_text(json.dumps(tree))
    found = Coco(path="coco.json", size=(4, 6)).load(folder, LIMIT)
    assert found.classes == ("car", "dog")
    np.testing.assert_array_equal(found.targets["boxes"][1], [[1, 0, 3, 3], [0, 0, 1, 1]])
    assert found.targets["box_label"].tolist() == [[-1, -1], [1, 0]]
    assert found.targets["boxes_there"].tolist() == [[0, 0], [1, 1]]
    assert found.targets["points_there"].tolist() == [[0, 0], [1, 0]]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.csv", "picture,label\n0.png,1\n", r"a\.csv:1:1.*expected a header with the column 'image'"),
        ("a.csv", "image,left,top,right,bottom\n0.png,0,0,x,1\n", r"a\.csv:2:1.*box: expected numbers, found 'x'"),
        ("a.json", '{"image": "0.png"}', "expected a list of mappings"),
        ("a.json", '[{"image": "0.png", "boxes": [[1, 2, 3]]}]', r"a\.json:1:1.*boxes: expected 4 numbers, found 3"),
        ("a.json", '[{"image": 3}]', "image: expected a path, found 3"),
        ("a.json", "[" * 100_000, "expected JSON"),
        ("a.json", '[{"image": "0.png"}, {"image": "1.png", "label": 1}]', "'label' for every example.* for 1 of 2"),
        ("a.json", '[{"image": "0.png", "mask": "0_mask.png"}, {"image": "1.png"}]', "a mask for every image"),
        ("a.json", "[]", "found no images"),
        ("a.csv", b"image\n\xff\xfe.png\n", "expected text in UTF-8"),
    ],
)
def test_lists_that_cannot_be_read(folder, name, text, words):
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=words):
        ImageList(path=name, size=(4, 6)).load(folder, LIMIT)


@pytest.mark.parametrize("tree", ["[]", '{"images": []}', '{"images": [{}], "annotations": [], "categories": []}'])
def test_files_that_are_not_coco(folder, tree):
    (folder / "a.json").write_text(tree)
    with pytest.raises(DataError, match="expected COCO's form"):
        Coco(path="a.json", size=(4, 6)).load(folder, LIMIT)


@pytest.mark.parametrize("path", ["../secret.png", "/etc/hostname", "link.png", "loop.png", "a\0b.png"])
def test_no_path_leads_out_of_the_folder(tmp_path, path):
    (tmp_path / "secret.png").write_bytes(_png())
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "a.json").write_text(json.dumps([{"image": path}]))
    with pytest.raises(GraphcError, match=r"out of it|symbolic links|expected a path"):
        ImageList(path="a.json", size=(4, 6)).load(folder, LIMIT)
    found = ImageList(path="a.json", size=(4, 6), bad_files="skip")
    with pytest.raises(GraphcError, match=r"none of the images can be read|expected a path"):
        found.load(folder, LIMIT)


def _members(kind, path, files):
    if kind == "tar":
        with tarfile.open(path, "w") as archive:
            for name, data in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    else:
        compression = zipfile.ZIP_DEFLATED if kind == "deflated" else zipfile.ZIP_STORED
        with zipfile.ZipFile(path, "w", compression) as archive:
            for name, data in files.items():
                archive.writestr(name, data)


@pytest.mark.parametrize("kind", ["tar", "stored", "deflated"])
def test_archives_are_read_in_place(tmp_path, kind):
    files = {f"set/{name}/{n}.png": _png((n, i, 0)) for i, name in enumerate(("cat", "dog")) for n in range(3)}
    _members(kind, tmp_path / "a.bin", {**files, "set/readme.txt": b"x", "__MACOSX/set/cat/._0.png": b"x"})
    found = Archive(path="a.bin", inside="set", size=(4, 6)).load(tmp_path, LIMIT)
    assert found.classes == ("cat", "dog")
    assert found.targets["label"].tolist() == [0, 0, 0, 1, 1, 1]
    assert found.inputs["image"][::1][:, 0, 0].tolist() == [[n, i, 0] for i in range(2) for n in range(3)]
    assert len(found.fingerprint()) == 64
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.bin"]


@pytest.mark.parametrize("kind", ["stored", "deflated"])
def test_damaged_archives(tmp_path, kind):
    _members(kind, tmp_path / "a.zip", {"cat/0.png": _png(), "dog/0.png": _png()})
    whole = bytearray((tmp_path / "a.zip").read_bytes())
    whole[60] ^= 255
    (tmp_path / "a.zip").write_bytes(whole)
    found = Archive(path="a.zip", size=(4, 6)).load(tmp_path, LIMIT)
    with pytest.raises(DataError, match=r"a\.zip\[cat/0\.png\].*damaged"):
        found.inputs["image"].read(0)


def test_compressed_tars_cannot_be_read_in_place(tmp_path):
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz"):
        pass
    with pytest.raises(DataError, match="a tar that is not compressed"):
        Archive(path="a.tar.gz", size=(4, 6)).load(tmp_path, LIMIT)


def test_a_zip_bomb_gives_no_more_than_it_announces(tmp_path):
    bomb = zlib.compress(bytes(50_000_000), 9)[2:-4]
    _members("deflated", tmp_path / "a.zip", {"cat/0.png": b"x" * 5000})
    with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("cat/0.png", bomb)
    data = (tmp_path / "b.zip").read_bytes()  # stored becomes deflated, 1000 bytes announced
    local = data.index(b"PK\x03\x04")
    central = data.index(b"PK\x01\x02")
    data = bytearray(data)
    struct.pack_into("<H", data, local + 8, 8)
    struct.pack_into("<H", data, central + 10, 8)
    struct.pack_into("<I", data, central + 24, 1000)
    (tmp_path / "b.zip").write_bytes(data)
    images = Archive(path="b.zip", size=(4, 6)).load(tmp_path, LIMIT).inputs["image"]
    with pytest.raises(DataError, match="announces 1,000 bytes, found 1,001 or more"):
        images.read(0)


def _chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _bomb(side=60_000):
    """A PNG of a few kilobytes with 3.6 billion pixels."""
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + _chunk(b"IDAT", zlib.compress(bytes(100_000), 9)) + _chunk(b"IEND", b"")


BAD = {
    "bomb.png": _bomb(),
    "cut.jpg": _png(kind="JPEG", size=(64, 64))[:500],
    "other.png": b"%!PS-Adobe-3.0 EPSF-3.0\n",
    "empty.png": b"",
    "nothing.gif": b"GIF89a",
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("keep", ["memory", "files"])
def test_a_bad_file_is_named(tmp_path, name, keep):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / name).write_bytes(BAD[name])
    with pytest.raises(DataError, match=name.replace(".", r"\.")):
        ImageFolder(path=".", size=(4, 6), keep=keep).load(tmp_path, LIMIT).inputs["image"][np.arange(1)]


ODD = ["a b.png", "-rf.png", "ünï.png", "new\nline.png", "quote'\".png", os.fsdecode(b"\xff\xfe.png"), "%s{0}.png"]


@pytest.mark.parametrize("keep", ["memory", "files"])
def test_bad_files_are_skipped_and_counted_and_odd_names_are_read(tmp_path, keep):
    for kind in ("cat", "dog"):
        (tmp_path / kind).mkdir()
    for name in ODD:
        (tmp_path / "cat" / name).write_bytes(_png())
    for name, data in BAD.items():
        (tmp_path / "dog" / name).write_bytes(data)
    (tmp_path / "dog" / "good.png").write_bytes(_png())
    (tmp_path / "dog" / "self").symlink_to(tmp_path / "dog")
    found = ImageFolder(path=".", size=(4, 6), keep=keep, bad_files="skip").load(tmp_path, LIMIT)
    assert len(found) == len(ODD) + 1
    assert len(found.skipped) == len(BAD) + 1  # the link
    assert all(any(name in said for said in found.skipped) for name in BAD)
    assert found.targets["label"].tolist() == [0] * len(ODD) + [1]
    assert isinstance(found.inputs["image"], StoredImages) == (keep == "files")
    for said in found.skipped:
        said.encode()


def test_nothing_good_is_an_error(tmp_path):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "a.png").write_bytes(b"")
    with pytest.raises(DataError, match="none of the images can be read"):
        ImageFolder(path=".", size=(4, 6), bad_files="skip").load(tmp_path, LIMIT)


def test_masks_must_be_of_their_images_size(folder):
    Image.fromarray(np.zeros((4, 5), np.uint8)).save(folder / "0_mask.png")
    (folder / "a.csv").write_text("image,mask\n0.png,0_mask.png\n1.png,1_mask.png\n")
    found = ImageList(path="a.csv", size=(4, 6), bad_files="skip").load(folder, LIMIT)
    assert len(found) == 1
    assert "expected the pixels of the mask in an image of 6×4, found 5×4" in found.skipped[0]


def test_shapes_are_where_box_and_mask_say():
    found = Shapes(count=30, size=(40, 48), most=3, seed=2).load(None, LIMIT)
    for row in range(30):
        labels, there = found.targets["box_label"][row], found.targets["boxes_there"][row]
        mask = found.targets["mask"][row]
        assert set(np.unique(mask)) <= {0, *(labels[there > 0] + 1)}
        for box, label in zip(found.targets["boxes"][row][there > 0], labels, strict=False):
            left, top, right, bottom = box.astype(int)
            inside = mask[top:bottom, left:right] == label + 1
            assert inside.any(axis=0).all()
            assert inside.any(axis=1).all()
        covered = np.zeros(mask.shape, bool)
        for left, top, right, bottom in found.targets["boxes"][row][there > 0].astype(int):
            covered[top:bottom, left:right] = True
        assert not mask[~covered].any()
        assert found.targets["label"][row] == labels[0]


def test_shapes_come_from_the_seed():
    a, b, c = (Shapes(count=n, seed=seed).load(None, LIMIT) for n, seed in ((4, 1), (8, 1), (4, 2)))
    np.testing.assert_array_equal(a.inputs["image"], b.inputs["image"][:4])
    assert (a.inputs["image"] != c.inputs["image"]).any()
    assert a.targets["boxes"].shape == (4, 4)
