"""COCO's files as people have them; masks held to pycocotools'."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from graphc.data.annotated_image import annotated_image
from graphc.data.examples import of_crowds
from graphc.data.sources import Coco
from graphc.data.wanted import ANYTHING, Wanted
from graphc.errors import DataError
from tests.costs import little

LIMIT = 10_000_000
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools
HEIGHT, WIDTH = 20, 40
CATEGORIES = [{"id": 1, "name": "red"}, {"id": 3, "name": "blue"}]


def _image(key, name="0.png", **others):
    return {"id": key, "file_name": name, "width": WIDTH, "height": HEIGHT, **others}


def _box(key, image, category, box, **others):
    return {"id": key, "image_id": image, "category_id": category, "bbox": box, "iscrowd": 0, **others}


GOOD = _box(1, 1, 1, [30, 2, 8, 6])


@pytest.fixture
def folder(tmp_path):
    for number in range(3):
        Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / f"{number}.png")
    return tmp_path


def _read(folder, images, annotations, categories=CATEGORIES, wanted=ANYTHING, **settings):
    tree = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "coco.json").write_text(json.dumps(tree))
    return Coco(path="coco.json", size=(HEIGHT, WIDTH), **settings).load(folder, LIMIT, wanted)


@pytest.mark.parametrize("ids", [(1, 1), ("1", "1"), ("1", 1), (1, "1"), (1, 1.0), ("a b", "a b")])
def test_ids_may_be_texts(folder, ids):
    found = _read(folder, [_image(ids[0])], [{**GOOD, "image_id": ids[1]}])
    assert found.targets["boxes"].tolist() == [[30, 2, 38, 8]]


def test_categories_of_text_ids(folder):
    found = _read(
        folder, [_image(1)], [{**GOOD, "category_id": "x"}], [{"id": "x", "name": "a"}, {"id": "b", "name": "c"}]
    )
    assert (found.classes, found.targets["box_label"].tolist()) == (("c", "a"), [1])


BAD = {
    "no such category": ({**GOOD, "category_id": 7}, "expected the id of a category, found 7", "of no category"),
    "no such image": ({**GOOD, "image_id": 99}, "expected the id of an image, found 99", "of no image"),
    "no image at all": ({"id": 2, "category_id": 1, "bbox": [0, 0, 3, 3]}, "found None", "of no image"),
    "no box": ({**GOOD, "bbox": None}, "expected `bbox`, found None", "without a box"),
    "three numbers": ({**GOOD, "bbox": [1, 2, 3]}, r"x, y, width and height, found \[1, 2, 3\]", "without a box"),
    "a text": ({**GOOD, "bbox": [1, 2, "3", 4]}, "x, y, width and height", "without a box"),
    "no width": ({**GOOD, "bbox": [30, 2, 0, 6]}, "a box with an area", "with an empty box"),
    "negative height": ({**GOOD, "bbox": [30, 9, 3, -6]}, "a box with an area", "with an empty box"),
    "right of it": ({**GOOD, "bbox": [50, 2, 5, 5]}, "a box in the image of 40×20", "with a box outside"),
    "above it": ({**GOOD, "bbox": [5, -9, 5, 9]}, "a box in the image", "with a box outside"),
    "key points": ({**GOOD, "keypoints": [1, 2]}, "x, y and visibility", "with bad key points"),
    "a number of key points": ({**GOOD, "keypoints": 3}, "x, y and visibility", "with bad key points"),
}


@pytest.mark.parametrize(("annotation", "words", "kind"), BAD.values(), ids=BAD)
def test_annotations_that_cannot_be_used(folder, annotation, words, kind):
    annotation = {**annotation, "id": 2}
    with pytest.raises(DataError, match=rf"coco\.json: error\[G411\]: annotation 2: .*{words}"):
        _read(folder, [_image(1)], [GOOD, annotation])
    found = _read(folder, [_image(1)], [GOOD, annotation, annotation], bad_annotations="skip")
    assert found.targets["boxes"].tolist() == [[30, 2, 38, 8]]
    assert len(found.notes) == 1
    assert found.notes[0].startswith(f"2 annotations left out: {kind}")


def test_a_box_that_reaches_a_little_beyond_the_image_is_kept(folder):
    found = _read(folder, [_image(1)], [{**GOOD, "bbox": [30.0000001, 2, 10.0000003, 18.0000001]}])
    assert found.targets["boxes_there"].tolist() == [1]


def test_a_box_around_the_area_where_none_is_given(folder):
    polygon = {**GOOD, "bbox": [], "segmentation": [[30, 2, 38, 2, 38, 8]]}
    lengths = {**GOOD, "segmentation": {"size": [HEIGHT, WIDTH], "counts": [42, 3, 755]}}
    del lengths["bbox"]
    found = _read(folder, [_image(1), _image(2)], [polygon, {**lengths, "image_id": 2}])
    assert found.targets["boxes"].tolist() == [[30, 2, 38, 8], [2, 2, 3, 5]]


def test_images_without_objects(folder):
    found = _read(folder, [_image(1), _image(2)], [GOOD])
    assert found.targets["boxes_there"].tolist() == [1, 0]
    assert found.targets["box_label"].tolist() == [0, -1]
    alone = _read(folder, [_image(1)], [], max_boxes=2)
    assert alone.targets["boxes"].shape == (1, 2, 4)


def test_a_missing_image(folder):
    images = [_image(1), _image(2, "nothere.jpg")]
    with pytest.raises(DataError, match=r"nothere\.jpg: error\[G401\]: there is no file"):
        _read(folder, images, [GOOD])
    found = _read(folder, images, [GOOD], bad_files="skip")
    assert (len(found), len(found.skipped)) == (1, 1)


def test_crowds(folder):
    everything = {"counts": [0, HEIGHT * WIDTH], "size": [HEIGHT, WIDTH]}
    crowd = _box(2, 1, 3, [0, 0, 40, 20], segmentation=everything, area=800)
    crowd["iscrowd"] = 1
    good = {**GOOD, "segmentation": [[30, 2, 38, 2, 38, 8, 30, 8]]}
    with pytest.raises(DataError, match="annotation 2: found a crowd"):
        _read(folder, [_image(1)], [good, crowd], crowd="error", bad_annotations="skip")
    skipped = _read(folder, [_image(1)], [good, crowd], masks=True)
    assert skipped.targets["boxes"].tolist() == [[30, 2, 38, 8]]
    assert skipped.notes == ("1 annotation left out: of crowds",)
    assert np.bincount(skipped.targets["mask"][np.arange(1)].ravel()).tolist() == [752, 48]
    drawn = _read(folder, [_image(1)], [good, crowd], masks=True, crowd="mask")
    assert drawn.targets["boxes"].tolist() == [[30, 2, 38, 8]]
    assert np.bincount(drawn.targets["mask"][np.arange(1)].ravel()).tolist() == [0, 48, 752]
    kept = _read(folder, [_image(1)], [good, crowd], crowd="ignore")
    assert kept.targets["boxes"].tolist() == [[[30, 2, 38, 8], [0, 0, 40, 20]]]
    labels = kept.targets["box_label"][0]
    assert kept.classes[of_crowds(labels[1])] == next(each["name"] for each in CATEGORIES if each["id"] == 3)
    assert kept.category_ids == tuple(
        each["id"] for name in kept.classes for each in CATEGORIES if each["name"] == name
    )


REFUSED = {
    "two images of an id": ([_image(1), _image("1", "1.png")], CATEGORIES, {}, "two images with the id 1"),
    "two categories of an id": ([_image(1)], [*CATEGORIES, {"id": 3, "name": "x"}], {}, "two categories with the id 3"),
    "no name": ([_image(1)], [{"id": 1}], {}, r"a category without 'name' \(id 1\)"),
    "no file": ([{"id": 1}], CATEGORIES, {}, r"an image \(id 1\) whose 'file_name' is None"),
    "no id": ([{"file_name": "a"}], CATEGORIES, {}, "an image without 'id'"),
    "a size of text": ([_image(1, height="20")], CATEGORIES, {}, "with height '20'"),
    "a class that is none": ([_image(1)], CATEGORIES, {"classes": ("rd",)}, r"found 'rd' \(did you mean 'red'\?\)"),
    "masks without sizes": ([{"id": 1, "file_name": "0.png"}], CATEGORIES, {"masks": True}, "masks need height and"),
    "masks too large": ([_image(1)], CATEGORIES, {"masks": True, "max_pixels": 700}, "the limit is 700"),
}


@pytest.mark.parametrize(("images", "categories", "settings", "words"), REFUSED.values(), ids=REFUSED)
def test_files_that_say_no_one_thing(folder, images, categories, settings, words):
    with pytest.raises(DataError, match=words):
        _read(folder, images, [], categories, **settings)


def test_two_categories_with_one_name(folder):
    """As some exports have: one of them is a group that no annotation uses."""
    categories = [{"id": 0, "name": "cells"}, {"id": 1, "name": "cells"}, {"id": 2, "name": "wbc"}]
    found = _read(folder, [_image(1)], [GOOD, {**GOOD, "category_id": 2}], categories)
    assert (found.classes, found.targets["box_label"].tolist()) == (("cells", "wbc"), [[0, 1]])
    with pytest.raises(DataError, match="categories 0 and 1 with the same name 'cells'"):
        _read(folder, [_image(1)], [GOOD, {**GOOD, "category_id": 0}], categories)


def test_only_some_classes_and_those_of_the_training_set(folder):
    annotations = [GOOD, {**GOOD, "category_id": 3}]
    some = _read(folder, [_image(1)], annotations, classes=("blue",))
    assert (some.classes, some.targets["box_label"].tolist()) == (("blue",), [0])
    assert some.notes == ("1 annotation left out: of categories that are not among `classes`",)
    known = Wanted({}, {"box_label": ("green", "blue", "red")})
    assert _read(folder, [_image(1)], annotations, wanted=known).targets["box_label"].tolist() == [[2, 1]]
    other = Wanted({}, {"box_label": ("green", "red")})
    with pytest.raises(DataError, match=r"annotation 1: expected a class \(green, red\), found 'blue'"):
        _read(folder, [_image(1)], annotations, wanted=other)
    left = _read(folder, [_image(1)], annotations, wanted=other, bad_annotations="skip")
    assert left.targets["box_label"].tolist() == [1]


def test_key_points_of_further_objects_are_counted(folder):
    first = {**GOOD, "keypoints": [30, 2, 2, 38, 2, 1, 0, 0, 0]}
    second = {**GOOD, "bbox": [3, 2, 8, 6], "keypoints": [3, 2, 2, 5, 2, 2, 7, 3, 2]}
    found = _read(folder, [_image(1)], [first, second])
    assert found.targets["points_there"].tolist() == [[1, 1, 0]]
    assert found.notes[0].startswith("1 annotation left out: key points of further objects")


def test_masks_are_those_of_pycocotools_smaller_objects_over_larger(folder):
    coco = pytest.importorskip("pycocotools.mask")
    rng = np.random.default_rng(5)
    annotations, wanted = [], np.zeros((2, HEIGHT, WIDTH), np.int64)
    for number in range(12):
        polygon = np.round(rng.uniform([0, 0], [WIDTH, HEIGHT], (5, 2)), 2).ravel().tolist()
        form = coco.frPyObjects([polygon], HEIGHT, WIDTH)[0]
        area = float(coco.area(form))
        if number % 2:
            polygon = {"size": [HEIGHT, WIDTH], "counts": form["counts"].decode()}
        annotations.append(_box(number, number % 3 % 2, [1, 3][number % 5 % 2], [0, 0, 9, 9], area=area))
        annotations[-1]["segmentation"] = polygon if number % 2 else [polygon]
    for each in sorted(annotations, key=lambda each: -each["area"]):
        form = each["segmentation"]
        form = coco.frPyObjects(form, HEIGHT, WIDTH)[0] if isinstance(form, list) else form
        there = coco.decode({"size": form["size"], "counts": form["counts"]}).astype(bool)
        wanted[each["image_id"]][there] = {1: 1, 3: 2}[each["category_id"]]
    found = _read(folder, [_image(0), _image(1, "1.png")], annotations, masks=True)
    np.testing.assert_array_equal(found.targets["mask"][np.arange(2)], wanted)
    assert found.target_classes == {"mask": ("background", "red", "blue")}
    assert len(found.fingerprint()) == 64
    annotations[0]["segmentation"][0][0] += 1
    assert _read(folder, [_image(0), _image(1, "1.png")], annotations, masks=True).fingerprint() != found.fingerprint()


@pytest.mark.parametrize(
    ("segmentation", "words"),
    [
        (None, "expected polygons or run lengths"),
        ([[1, 2, 3, 4]], "three corners"),
        ({"size": [1, 1]}, "of an image of"),
    ],
)
def test_areas_that_cannot_be_drawn(folder, segmentation, words):
    annotation = {**GOOD, "segmentation": segmentation}
    with pytest.raises(DataError, match=rf"annotation 1: .*{words}"):
        _read(folder, [_image(1)], [annotation], masks=True)
    found = _read(folder, [_image(1)], [annotation], masks=True, bad_annotations="skip")
    assert "boxes" not in found.targets
    assert not found.targets["mask"][np.arange(1)].any()
    assert found.notes[0].startswith("1 annotation left out: their area cannot be drawn; annotation 1")


def _lengths(side, *counts, **others):
    return {**GOOD, "segmentation": {"size": [side, side], "counts": list(counts)}, **others}


ZIGZAG = [number for corner in range(3_000) for number in (130 * (corner % 2), corner % 20)]
FAR = [number for corner in range(6_000) for number in (95_000 - 185_000 * (corner % 2), corner % 20)]
LONG = 10**9 - 1
CHEAP = {
    "a box around the area of a large image": (30_000, [_lengths(30_000, 30_000**2 - 5, 5, bbox=None)], False, None),
    "of a larger one": (LONG, [_lengths(LONG, LONG**2 - 5, 5, bbox=None)], False, "a box with an area"),
    "a mask of a large image": (30_000, [_lengths(30_000, 30_000**2 - 5, 5)], True, "pixels, the limit is"),
    "a polygon far beyond": (5_000, [{**GOOD, "segmentation": [FAR]}], True, "at most 400,000 pixels, found 1,110,000"),
    "many small polygons": (5_000, [{**GOOD, "segmentation": [[0, 0, 5, 5, 5, 0]] * 2_000}], True, None),
    "polygons without an area": (100, [{**GOOD, "segmentation": [[0] * 6] * 9_900}], True, None),
    "more polygons": (100, [{**GOOD, "segmentation": [[0] * 6] * 4_000}] * 3, True, "at most 10,000 polygons"),
    "very many polygons": (100, [{**GOOD, "bbox": None, "segmentation": [[0, 0, 1, 1, 1, 0]] * 35_000}], False, None),
    "many small areas": (5_000, [_lengths(5_000, 5_000**2 - 5, 5)] * 2_000, True, None),
    "many large areas": (5_000, [_lengths(5_000, 1, 5_000**2 - 1)] * 101, True, "at most 100 times together"),
    "many long edges": (2_000, [{**GOOD, "segmentation": [ZIGZAG]}] * 12, True, "or longer edges"),
}


@pytest.mark.posix
@pytest.mark.parametrize("name", CHEAP)
def test_areas_cost_what_they_cover(folder, name):
    side, annotations, masks, words = CHEAP[name]
    image = _image(1, width=side, height=side)
    with little(250):  # a mask of 25 million pixels takes 200 MB
        if words is None:
            found = _read(folder, [image], annotations, masks=masks)
            assert found.targets["boxes_there"].any()
            if masks:
                found.targets["mask"][[0]]
        else:
            with pytest.raises(DataError, match=words):
                _read(folder, [image], annotations, masks=masks)


@pytest.mark.parametrize("all_named", [False, True])
def test_many_categories_are_looked_up_at_once(folder, all_named):
    categories = [{"id": number, "name": f"c{number}"} for number in range(20_000)]
    classes = tuple(each["name"] for each in categories) if all_named else ()
    with little():
        assert len(_read(folder, [_image(1)], [GOOD], categories, classes=classes).classes) == 20_000


def test_a_name_of_many_marks_is_not_sorted(folder):
    name = "a" + "\u0301" * 40_000 + "\u0316" * 40_000
    with little():
        assert _read(folder, [_image(1)], [GOOD], [{"id": 1, "name": name}]).classes == (name,)


@pytest.mark.parametrize("step", ["./", "a/../", "/"])
def test_a_path_of_many_steps_is_none(folder, step):
    with little(), pytest.raises(DataError, match="whose 'file_name' is"):
        _read(folder, [_image(1, step * (600_000 // len(step)) + "0.png")], [GOOD])


def test_key_points_for_which_there_is_no_room(folder):
    images = [{"id": number, "file_name": "0.png"} for number in range(2_000)]
    with little(), pytest.raises(DataError, match=r"2000×20000×3 values of 4 bytes .* the limit is"):
        _read(folder, images, [{**GOOD, "keypoints": [1, 1, 2] * 20_000}])


def test_points_are_labeled_by_a_visibility_above_0(folder):
    """As pycocotools counts them."""
    found = _read(folder, [_image(1)], [{**GOOD, "keypoints": [30, 2, -1, 38, 2, 2, 3, 3, 0]}])
    assert found.targets["points_there"].tolist() == [[0, 1, 0]]
    assert "points" not in _read(folder, [_image(1)], [{**GOOD, "keypoints": [30, 2, -1]}]).targets


def test_a_key_that_stands_twice_is_an_error(folder):
    (folder / "coco.json").write_text('{"images": [], "annotations": [], "annotations": [], "categories": []}')
    with pytest.raises(DataError, match="the key 'annotations' stands twice"):
        Coco(path="coco.json", size=(4, 4)).load(folder, LIMIT)


def test_a_box_beside_an_image_whose_size_nothing_says(folder):
    image = {"id": 1, "file_name": "0.png"}
    beside = {**GOOD, "bbox": [40, 2, 5, 5]}
    found = _read(folder, [image], [beside])
    with pytest.raises(DataError, match=r"0\.png: error\[G402\]: expected boxes .* of 40×20, found 40, 2, 45, 7"):
        annotated_image(found, "image", 0)
    images = [image, {"id": 2, "file_name": "1.png"}]
    left = _read(folder, images, [beside, {**GOOD, "image_id": 2}], bad_files="skip")
    assert (len(left), len(left.skipped)) == (1, 1)


def test_run_lengths_whose_sum_has_more_than_64_bits(folder):
    counts = [LONG**2] * 18
    with pytest.raises(DataError, match=rf"expected run lengths of {LONG**2} pixels together, found {18 * LONG**2}"):
        _read(folder, [_image(1, width=LONG, height=LONG)], [_lengths(LONG, *counts, bbox=None)])


def test_numbers_of_more_digits_than_python_reads_are_names(folder):
    long = "1" * 5_000
    found = _read(
        folder, [_image(1)], [{**GOOD, "category_id": long}], [{"id": long, "name": "a"}, {"id": "2", "name": "b"}]
    )
    assert (found.classes, found.targets["box_label"].tolist()) == (("a", "b"), [0])


def test_no_line_of_a_message_is_the_files(folder):
    with pytest.raises(DataError, match=r"annotation a\\x0ab\\x1b\[3m: expected the id of a category") as caught:
        _read(folder, [_image(1)], [{**GOOD, "category_id": 7, "id": "a\nb\x1b[3m"}])
    assert "\n" not in str(caught.value).partition("\n  ")[0]


@pytest.mark.parametrize("said", ["0", 2, [1], {}])
def test_a_crowd_is_said_by_0_or_1(folder, said):
    """A text that says no would count as yes."""
    with pytest.raises(DataError, match="annotation 1: expected 0 or 1 as `iscrowd`, found"):
        _read(folder, [_image(1)], [{**GOOD, "iscrowd": said}])
