"""RandAugment and its neighbors: Pillow's bits, torchvision's ranges, annotations that stay with the picture."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from graphc.data.augment.base import augment, generator
from graphc.data.augment.color import RandomGray
from graphc.data.augment.geometry import Perspective, Rotate90
from graphc.data.augment.rand_augment import OPERATIONS, RandAugment
from graphc.data.sample import Sample, projection, sample_of, turn, warp
from graphc.data.value_range import ValueRange

BY_NAME = {each.name: each for each in OPERATIONS}


def _pictures(channels=3):
    """Photographs, noise, one of two colors only, one of few pixels, one of a single color."""
    rng = np.random.default_rng(channels)
    small = Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)).resize((37, 29), Image.Resampling.BICUBIC)
    photo = np.asarray(small)[:, :, :channels]
    noise = rng.integers(30, 200, (40, 30, channels), dtype=np.uint8)
    two = np.where(rng.random((9, 11, 1)) < 0.3, 250, 20).astype(np.uint8).repeat(channels, axis=2)
    few = rng.integers(0, 256, (2, 3, channels), dtype=np.uint8)
    return [photo, noise, two, few, np.full((6, 7, channels), 90, np.uint8)]


def _image(array):
    return Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)


def _array(image):
    array = np.asarray(image)
    return array[:, :, None] if array.ndim == 2 else array


def _sheared(image, x=0.0, y=0.0):
    back = (1, -x, 0, -y, 1, 0)
    return image.transform(image.size, Image.Transform.AFFINE, back, Image.Resampling.BILINEAR, fillcolor=0)


def _moved(image, x=0, y=0):
    back = (1, 0, -x, 0, 1, -y)
    return image.transform(image.size, Image.Transform.AFFINE, back, Image.Resampling.BILINEAR, fillcolor=0)


THEIRS = {
    "identity": lambda image, amount: image,
    "shear_x": lambda image, amount: _sheared(image, x=amount),
    "shear_y": lambda image, amount: _sheared(image, y=amount),
    "translate_x": lambda image, amount: _moved(image, x=int(amount * image.width)),
    "translate_y": lambda image, amount: _moved(image, y=int(amount * image.height)),
    "rotate": lambda image, amount: image.rotate(-amount, Image.Resampling.BILINEAR),
    "brightness": lambda image, amount: ImageEnhance.Brightness(image).enhance(1 + amount),
    "color": lambda image, amount: ImageEnhance.Color(image).enhance(1 + amount),
    "contrast": lambda image, amount: ImageEnhance.Contrast(image).enhance(1 + amount),
    "sharpness": lambda image, amount: ImageEnhance.Sharpness(image).enhance(1 + amount),
    "posterize": lambda image, amount: ImageOps.posterize(image, round(amount)),
    "solarize": ImageOps.solarize,
    "auto_contrast": lambda image, amount: ImageOps.autocontrast(image),
    "equalize": lambda image, amount: ImageOps.equalize(image),
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", THEIRS)
def test_every_operation_is_pillows(name, channels):
    operation = BY_NAME[name]
    for array in _pictures(channels):
        for magnitude in (0, 4, 9, 17, 30):
            for sign in (1, -1) if operation.signed else (1,):
                amount = sign * operation.amount(magnitude)
                found = operation.apply(Sample(array), amount, 0.0).image
                expected = _array(THEIRS[name](_image(array), amount))
                difference = np.abs(found.astype(int) - expected)
                assert difference.max() <= (name == "rotate"), (array.shape, magnitude, sign)
                assert (difference > 0).mean() < 0.05  # Pillow's `rotate` rounds its matrix


def test_the_fourteen_are_torchvisions_in_its_order_and_ranges():
    """`RandAugment._augmentation_space(31, (H, W))`, magnitude 9 and 30."""
    assert [each.name for each in OPERATIONS] == list(THEIRS)
    bins = np.arange(31)
    spaces = {
        "shear_x": np.linspace(0, 0.3, 31), "translate_y": np.linspace(0, 150 / 331, 31),
        "rotate": np.linspace(0, 30, 31), "sharpness": np.linspace(0, 0.9, 31),
        "solarize": np.linspace(255, 0, 31), "posterize": 8 - np.round(bins / (30 / 4)),
    }  # fmt: skip
    for name, space in spaces.items():
        own = np.array([BY_NAME[name].amount(int(magnitude)) for magnitude in bins])
        np.testing.assert_allclose(np.round(own) if name == "posterize" else own, space, atol=1e-12)
    signed = {each.name for each in OPERATIONS if each.signed}
    assert signed == set(THEIRS) - {"identity", "posterize", "solarize", "auto_contrast", "equalize"}


def test_operations_are_drawn_alike_and_by_the_seed():
    image = _pictures()[1]
    step = RandAugment(operations=1, magnitude=20)
    outcomes = {}
    for operation in OPERATIONS:
        for sign in (1, -1) if operation.signed else (1,):
            outcomes[operation.apply(Sample(image), sign * operation.amount(20), 0.0).image.tobytes()] = operation.name
    counts = dict.fromkeys(BY_NAME, 0)
    for row in range(1400):
        counts[outcomes[step.apply(Sample(image), generator(0, 0, row), (40, 30)).image.tobytes()]] += 1
    assert min(counts.values()) > 60
    assert max(counts.values()) < 145
    two = [RandAugment().apply(Sample(image), generator(3, 1, row), (40, 30)).image for row in (5, 5, 6)]
    np.testing.assert_array_equal(two[0], two[1])
    assert (two[0] != two[2]).any()


@pytest.mark.parametrize("name", [name for name in THEIRS if BY_NAME[name].change])
@pytest.mark.parametrize(
    ("dtype", "low", "high"), [(np.float32, 0, 1), (np.float64, -1, 1), (np.uint16, 0, 65535), (np.int16, 0, 4095)]
)
def test_other_types_are_changed_as_bytes_are(name, dtype, low, high):
    for array in _pictures():
        shares = array / 255
        values = (low + shares * (high - low)).astype(dtype)
        known = ValueRange(low, high)
        amount = BY_NAME[name].amount(17)
        found = BY_NAME[name].apply(sample_of(values, {}, known), amount, 0.0).image
        assert found.dtype == dtype
        expected = BY_NAME[name].apply(Sample(array), amount, 0.0).image / 255
        difference = np.abs((found.astype(float) - low) / (high - low) - expected)
        assert np.quantile(difference, 0.95) <= 0.02
        assert found.min() >= low
        assert found.max() <= high


def test_an_alpha_channel_stays():
    array = np.random.default_rng(0).integers(0, 256, (12, 13, 4), dtype=np.uint8)
    for operation in filter(lambda each: each.change is not None, OPERATIONS):
        found = operation.apply(Sample(array), operation.amount(20), 0.0).image
        np.testing.assert_array_equal(found[:, :, 3], array[:, :, 3])
        colors = operation.apply(Sample(array[:, :, :3]), operation.amount(20), 0.0).image
        np.testing.assert_array_equal(found[:, :, :3], colors)


def test_random_gray_is_pillows_gray_in_three_channels():
    for array in _pictures():
        found = RandomGray(probability=1).apply(Sample(array), generator(0, 0, 0), (4, 4)).image
        expected = np.asarray(Image.fromarray(array).convert("L"))
        assert (found == found[:, :, :1]).all()
        difference = np.abs(found[:, :, 0].astype(int) - expected)
        assert difference.max() <= 1
        assert (difference > 0).mean() < 0.02
    one = _pictures(1)[0]
    np.testing.assert_array_equal(RandomGray(probability=1).apply(Sample(one), generator(0, 0, 0), (4, 4)).image, one)
    gray = [augment(Sample(_pictures()[0]), [RandomGray()], generator(0, 0, row), (29, 37), 0) for row in range(1000)]
    share = np.mean([(each.image == each.image[:, :, :1]).all() for each in gray])
    assert share == pytest.approx(0.1, abs=0.03)


MARK = 8


def _marked(height=40, width=56, top=12, left=30, side=MARK):
    image = np.zeros((height, width, 3), np.uint8)
    image[top : top + side, left : left + side] = 255
    annotations = {
        "mask": image[:, :, 0] // 255,
        "boxes": np.array([[left, top, left + side, top + side]]),
        "points": np.array([[left + side / 2, top + side / 2]]),
    }
    return sample_of(image, annotations, mask_fill=9)


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_quarter_turns_are_pillows(quarters):
    sample = _marked()
    found = turn(sample, quarters)
    ways = [None, Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270]
    image = Image.fromarray(sample.image)
    expected = image if quarters == 0 else image.transpose(ways[quarters])
    np.testing.assert_array_equal(found.image, expected)
    np.testing.assert_array_equal(found.mask * 255, found.image[:, :, 0])
    left, top, right, bottom = found.boxes[0].astype(int)
    assert (found.image[top:bottom, left:right] == 255).all()
    assert (right - left) * (bottom - top) == MARK**2
    np.testing.assert_array_equal(found.points[0], [(left + right) / 2, (top + bottom) / 2])


def test_rotate_90_draws_each_turn_alike():
    sample = Sample(np.arange(6, dtype=np.uint8).reshape(2, 3, 1))
    found = [Rotate90().apply(sample, generator(0, 0, row), (2, 3)).image for row in range(800)]
    counts = [sum(np.array_equal(each, np.rot90(sample.image, k)) for each in found) for k in range(4)]
    assert sum(counts) == 800
    assert min(counts) > 150


def test_a_projection_takes_four_points_to_four():
    rng = np.random.default_rng(0)
    old = np.array([[0, 0], [50, 0], [50, 30], [0, 30.0]])
    new = old + rng.uniform(-8, 8, (4, 2))
    matrix = projection(old, new)
    moved = np.c_[old, np.ones(4)] @ matrix.T
    np.testing.assert_allclose(moved[:, :2] / moved[:, 2:], new, atol=1e-9)
    np.testing.assert_allclose(projection(old, old + 5), [[1, 0, 5], [0, 1, 5], [0, 0, 1]], atol=1e-12)


def test_perspective_is_pillows_quad_seen_from_the_other_side():
    """The corners of the image are found where its own four points say; Pillow's QUAD takes the inner quadrilateral
    back to the whole image, which undoes it."""
    photo = np.asarray(Image.fromarray(_pictures()[0]).resize((120, 90), Image.Resampling.BICUBIC))
    height, width = photo.shape[:2]
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], float)
    matrix = Perspective().matrix(generator(1, 0, 0), (height, width))
    there = np.c_[corners, np.ones(4)] @ matrix.T
    there = there[:, :2] / there[:, 2:]
    found = warp(Sample(photo), matrix).image
    inverse = np.linalg.inv(projection(corners, there))
    back = tuple((inverse / inverse[2, 2]).ravel()[:8])
    expected = Image.fromarray(photo).transform(
        (width, height), Image.Transform.PERSPECTIVE, back, Image.Resampling.BILINEAR, fillcolor=0
    )
    assert np.abs(found.astype(int) - np.asarray(expected)).max() <= 1
    shares = np.abs(there - corners) / [width / 2, height / 2]
    assert (shares <= 0.5).all()
    assert shares.max() > 0.1


STEPS = [Perspective(probability=1), RandAugment(operations=1, magnitude=25), Rotate90()]


@pytest.mark.parametrize("step", STEPS, ids=repr)
def test_annotations_stay_with_the_picture(step):
    """Masks, boxes and points are followed through the step, and where a mask has class 1 the mark is."""
    moved = 0
    for row in range(60):
        sample = _marked()
        bare = sample_of(np.repeat(sample.mask[:, :, None] * 255, 3, axis=2).astype(np.uint8), {})
        found, alone = (augment(each, [step], generator(4, 0, row), (48, 48), 0) for each in (sample, bare))
        assert set(np.unique(found.mask)) <= {0, 1, 9}
        np.testing.assert_array_equal(alone.image, found.image)
        where = np.argwhere(found.mask == 1)
        if len(where) < 10 or (where.min(axis=0) == 0).any() or (where.max(axis=0) + 1 == found.size).any():
            continue
        (top, left), (bottom, right) = where.min(axis=0), where.max(axis=0) + 1
        np.testing.assert_allclose(found.boxes[0], [left, top, right, bottom], atol=1.01)
        np.testing.assert_allclose(found.points[0], where.mean(axis=0)[::-1] + 0.5, atol=1.0)
        moved += not np.array_equal(found.boxes[0], sample.boxes[0])
    assert moved > 10


def test_what_perspective_brings_in_is_ignored_in_masks():
    sample = sample_of(np.full((30, 30, 1), 255, np.uint8), {"mask": np.ones((30, 30), int)}, mask_fill=-1)
    found = augment(sample, [Perspective(probability=1)], generator(0, 0, 2), (30, 30), 0)
    assert set(np.unique(found.mask)) == {1, -1}
    assert (found.mask[found.image[:, :, 0] == 0] == -1).all()


def test_a_box_far_outside_is_lost_and_not_found_again():
    """The corners of a box that reaches far beyond the picture may be behind the eye."""
    sample = sample_of(np.zeros((20, 20, 1), np.uint8), {"boxes": np.array([[2, 2, 19, 19]])})
    wide = np.array([[-4000.0, 2, 4000, 19]])
    sample = Sample(**{**{name: getattr(sample, name) for name in Sample.__slots__}, "whole": wide})
    found = augment(sample, [Perspective(probability=1, distortion=0.9)], generator(0, 0, 1), (20, 20), 0.25)
    assert np.isfinite(found.boxes).all()
    assert not found.boxes_there[0]


def test_magnitudes_have_bounds():
    for settings in ({"magnitude": 31}, {"operations": 0}, {"magnitude": -1}):
        with pytest.raises(ValueError, match="Input should be"):
            RandAugment(**settings)
    assert math.isclose(BY_NAME["rotate"].amount(30), 30)
