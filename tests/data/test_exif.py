"""Images that an EXIF tag turns: what was drawn in them turns along, where sizes or the recipe say how it was drawn."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from graphc.cli import cli
from graphc.data.batches import Batches
from graphc.data.masks import MaskRule
from graphc.data.orientation import upright, upright_boxes, upright_points
from graphc.data.preprocess import FittedPreprocess, Preprocess
from graphc.data.sources import Coco, ImageList
from graphc.data.wanted import ANYTHING
from graphc.errors import DataError
from graphc.train.datasets import read_set

TURNING = range(2, 9)
SIDEWAYS = range(5, 9)
FORMATS = {
    "png": {}, "webp": {"lossless": True}, "tif": {}, "tiff": {"compression": "tiff_lzw"}, "jpg": {"quality": 97},
}  # fmt: skip


def _stored(height, width, top, left, rows=6, columns=9):
    """An image as it is stored, dark with a bright rectangle that no turn leaves in its place, and its places."""
    image = np.zeros((height, width, 3), np.uint8)
    image[top : top + rows, left : left + columns] = 255
    return image, [left, top, left + columns, top + rows], [left + 1.5, top + 1.5]


def _save(image, path, orientation, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(image).save(path, exif=exif, **options)


def _seen(path):
    with Image.open(path) as opened:
        return np.asarray(ImageOps.exif_transpose(opened))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pixels_boxes_and_points_turn_as_pillow_turns_pixels(tmp_path, orientation):
    image, box, _ = _stored(20, 40, 3, 25)
    _save(image, tmp_path / "a.png", orientation)
    seen = upright(image, orientation)
    np.testing.assert_array_equal(seen, _seen(tmp_path / "a.png"))
    rows, columns = np.nonzero(seen[:, :, 0])
    found = upright_boxes(np.array([box], float), (20, 40), orientation)
    assert found.tolist() == [[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]]
    for row, column in ((0, 0), (3, 25), (19, 39), (7, 11)):
        dot = np.zeros((20, 40), np.uint8)
        dot[row, column] = 1
        (down,), (right,) = np.nonzero(upright(dot, orientation))
        place = upright_points(np.array([[column + 0.5, row + 0.5]]), (20, 40), orientation)
        assert place.tolist() == [[right + 0.5, down + 0.5]]
    assert np.isnan(upright_boxes(np.full((1, 4), np.nan), (20, 40), orientation)).all()


def _batch(source, folder, size, rule=None):
    examples = read_set(source, folder)
    shapes, steps = {"image": (*size, 3)}, {"image": FittedPreprocess(Preprocess())}
    made = Batches(examples, len(examples), shapes, np.float32, steps, relative=False, mask_rule=rule)
    return made.make(np.arange(len(examples)))


def _check(batch, row=0):
    """Everything says the same place: the bright pixels are in the box and in the mask, the point at their corner."""
    bright = batch.inputs["image"][row, :, :, 0] > 0.5
    rows, columns = np.nonzero(bright)
    around = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    if "boxes" in batch.targets:
        np.testing.assert_allclose(batch.targets["boxes"][row].reshape(4), around)
    if "mask" in batch.targets:
        np.testing.assert_array_equal(batch.targets["mask"][row] == 1, bright)
    if "points" in batch.targets:
        x, y = batch.targets["points"][row].reshape(2)
        corners = [(x0 + dx, y0 + dy) for x0, dx in ((around[0], 1.5), (around[2], -1.5))
                   for y0, dy in ((around[1], 1.5), (around[3], -1.5))]  # fmt: skip
        assert (x, y) in corners
        return corners.index((x, y))
    return None


def _coco(folder, name, size, box, point, polygon=True):
    left, top, right, bottom = box
    each = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [left, top, right - left, bottom - top], "area": 54,
            "iscrowd": 0, "keypoints": [*point, 2]}  # fmt: skip
    if polygon:
        each["segmentation"] = [[left, top, right, top, right, bottom, left, bottom]]
    said = {} if size is None else {"height": size[0], "width": size[1]}
    tree = {"images": [{"id": 1, "file_name": name, **said}], "annotations": [each],
            "categories": [{"id": 1, "name": "red"}]}  # fmt: skip
    (folder / "a.json").write_text(json.dumps(tree))


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("orientation", SIDEWAYS)
@pytest.mark.parametrize("drawn", ["stored", "upright"])
def test_coco_says_by_its_sizes_in_which_image_it_was_drawn(tmp_path, orientation, drawn, ending):
    image, box, point = _stored(20, 40, 3, 25)
    _save(image, tmp_path / f"a.{ending}", orientation, **FORMATS[ending])
    size = (20, 40)
    if drawn == "upright":
        box = upright_boxes(np.array(box, float), size, orientation).tolist()
        point = upright_points(np.array(point), size, orientation).tolist()
        size = (40, 20)
    _coco(tmp_path, f"a.{ending}", size, box, point)
    batch = _batch(Coco(path="a.json", size=(40, 20), masks=True), tmp_path, (40, 20))
    corner = _check(batch)
    expected = upright_points(np.array([1.5, 1.5]), (6, 9), orientation)
    assert corner == 2 * (expected[0] > 3) + (expected[1] > 4.5)


@pytest.mark.parametrize("orientation", TURNING)
@pytest.mark.parametrize("drawn", ["stored", "upright"])
@pytest.mark.parametrize("size", [(24, 24), None])
def test_what_sizes_do_not_say_the_recipe_does(tmp_path, orientation, drawn, size):
    image, box, point = _stored(24, 24, 3, 12)
    _save(image, tmp_path / "a.png", orientation)
    if drawn == "upright":
        box = upright_boxes(np.array(box, float), (24, 24), orientation).tolist()
        point = upright_points(np.array(point), (24, 24), orientation).tolist()
    _coco(tmp_path, "a.png", size, box, point, polygon=False)
    with pytest.raises(DataError, match=r"a.png: error\[G402\]: an EXIF tag turns the image .orientation \d") as caught:
        _batch(Coco(path="a.json", size=(24, 24)), tmp_path, (24, 24))
    assert "`exif: stored` or `exif: upright` at the source" in str(caught.value)
    _check(_batch(Coco(path="a.json", size=(24, 24), exif=drawn), tmp_path, (24, 24)))


def test_sizes_that_fit_neither_way_are_named(tmp_path):
    image, box, point = _stored(20, 40, 3, 25)
    _save(image, tmp_path / "a.png", 6)
    _coco(tmp_path, "a.png", (21, 40), box, point)
    both = "in an image of 20×40 or, as it is stored, 40×20, found 40×21"
    with pytest.raises(DataError, match=rf"a.png: .* expected boxes and key points {both} \(width × height\)"):
        _batch(Coco(path="a.json", size=(40, 20)), tmp_path, (40, 20))
    _save(image, tmp_path / "a.png", 1)
    with pytest.raises(DataError, match=r"boxes and key points in an image of 40×20, found 40×21"):
        _batch(Coco(path="a.json", size=(40, 20)), tmp_path, (40, 20))
    Image.new("RGB", (8, 8)).save(tmp_path / "b.png")
    tree = json.loads((tmp_path / "a.json").read_text())
    tree["images"].append({"id": 2, "file_name": "b.png"})
    (tmp_path / "a.json").write_text(json.dumps(tree))
    examples = read_set(Coco(path="a.json", size=(40, 20), bad_files="skip"), tmp_path)
    assert len(examples) == 1
    assert "found 40×21" in examples.skipped[0]


def test_images_without_annotations_need_no_sizes(tmp_path):
    image, _, _ = _stored(24, 24, 3, 12)
    _save(image, tmp_path / "a.png", 3)
    (tmp_path / "a.csv").write_text("image,label\na.png,cat\n")
    batch = _batch(ImageList(path="a.csv", size=(24, 24)), tmp_path, (24, 24))
    np.testing.assert_array_equal(batch.inputs["image"][0] > 0.5, _seen(tmp_path / "a.png") > 0)


def _list(folder, mask_orientation, mask, image, orientation, size=None):
    _save(image, folder / "a.png", orientation)
    _save(mask, folder / "m.png", mask_orientation)
    with (folder / "a.csv").open("w", newline="") as file:
        rows = [["image", "mask", *(["height", "width"] if size else [])], ["a.png", "m.png", *(size or [])]]
        csv.writer(file).writerows(rows)


@pytest.mark.parametrize("orientation", SIDEWAYS)
@pytest.mark.parametrize("drawn", ["stored", "upright", "tagged"])
def test_a_masks_size_or_its_own_tag_says_how_it_was_drawn(tmp_path, orientation, drawn):
    """A tagged mask is stored in yet another way than its image."""
    image, _, _ = _stored(20, 40, 3, 25)
    mask = (image[:, :, 0] > 0).astype(np.uint8)
    own = 1
    if drawn == "upright":
        mask = upright(mask, orientation)
    if drawn == "tagged":
        own = 6 if orientation != 6 else 8
        mask = np.rot90(upright(mask, orientation), 1 if own == 6 else -1)
    _list(tmp_path, own, np.ascontiguousarray(mask), image, orientation)
    batch = _batch(ImageList(path="a.csv", size=(40, 20)), tmp_path, (40, 20), MaskRule(2))
    _check(batch)


def test_masks_that_nobody_can_place(tmp_path):
    image, _, _ = _stored(24, 24, 3, 12)
    mask = (image[:, :, 0] > 0).astype(np.uint8)
    _list(tmp_path, 1, mask, image, 6)
    with pytest.raises(DataError, match=r"m.png: .* nothing says whether the pixels of the mask are those of"):
        _batch(ImageList(path="a.csv", size=(24, 24)), tmp_path, (24, 24))
    _check(_batch(ImageList(path="a.csv", size=(24, 24), exif="stored"), tmp_path, (24, 24)))
    _list(tmp_path, 1, mask[:20], image, 6)
    with pytest.raises(DataError, match=r"m.png: .* expected the pixels of the mask in an image of 24×24, found 24×20"):
        _batch(ImageList(path="a.csv", size=(24, 24)), tmp_path, (24, 24))
    _list(tmp_path, 6, mask[:20], image, 6)
    with pytest.raises(
        DataError, match=r"m.png: .* expected the pixels of the mask in an image of 24×24, found 20×24, both upright"
    ):
        _batch(ImageList(path="a.csv", size=(24, 24)), tmp_path, (24, 24))


def test_lists_say_height_and_width_too(tmp_path):
    image, box, _ = _stored(20, 40, 3, 25)
    _save(image, tmp_path / "a.jpg", 6, quality=97)
    header, places = "image,left,top,right,bottom", ",".join(map(str, box))
    (tmp_path / "a.csv").write_text(f"{header},height,width\na.jpg,{places},20,40\n")
    _check(_batch(ImageList(path="a.csv", size=(40, 20)), tmp_path, (40, 20)))
    (tmp_path / "a.csv").write_text(f"{header}\na.jpg,{places}\n")
    with pytest.raises(DataError, match="nothing says whether boxes and key points are those of the stored image"):
        _batch(ImageList(path="a.csv", size=(40, 20)), tmp_path, (40, 20))
    _check(_batch(ImageList(path="a.csv", size=(40, 20), exif="stored"), tmp_path, (40, 20)))


def test_preview_draws_them_where_they_are(tmp_path, monkeypatch):
    """The marks of the box lie around the bright pixels."""
    monkeypatch.chdir(tmp_path)
    image, box, point = _stored(20, 40, 3, 25)
    _save(image, tmp_path / "a.png", 6)
    _coco(tmp_path, "a.png", (20, 40), box, point)
    examples = read_set(Coco(path="a.json", size=(40, 20)), Path(), wanted=ANYTHING)
    assert examples.inputs["image"].read(0).shape == (40, 20, 3)
    recipe = """\
recipe: 1
model: net.yaml
data: {train: {coco: {path: a.json, size: [40, 20]}}}
heads: [{output: boxes, target: boxes, loss: huber}]
optimizer: adam
learning_rate: 0.1
epochs: 1
"""
    Path("recipe.yaml").write_text(recipe)
    cli.main(["data", "preview", "recipe.yaml", "-o", "sheet.png", "--columns", "1"], standalone_mode=False)
    with Image.open("sheet.png") as opened:
        sheet = np.asarray(opened.convert("RGB")).astype(int)
    colored = (sheet.max(axis=2) - sheet.min(axis=2)) > 120
    tile = colored[:, : sheet.shape[1] // 2]
    rows, columns = np.nonzero(tile)
    bright = (sheet.min(axis=2) > 250)[:, : sheet.shape[1] // 2]
    inside = bright[rows.min() : rows.max(), columns.min() : columns.max()]
    assert inside.sum() > 0.9 * bright.sum() > 0
