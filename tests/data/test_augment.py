"""Augmentation: the annotations say where things are, whatever was done to the picture."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from graphc.data.augment import AUGMENTATIONS
from graphc.data.augment.base import Augmentation, augment, generator
from graphc.data.augment.color import Blur, Brightness, Contrast, Cutout, Hue, Noise, RandomGray, Saturation
from graphc.data.augment.geometry import (
    FlipHorizontal,
    FlipVertical,
    PadCrop,
    Perspective,
    RandomCrop,
    RandomResizedCrop,
    Rotate,
    Rotate90,
    Scale,
    Shift,
    SideScale,
)
from graphc.data.augment.mix import CutMix, Mix, MixUp, mix_batch
from graphc.data.augment.rand_augment import RandAugment
from graphc.data.sample import Sample, crop, drop_lost_boxes, flip, resize, sample_of

SIDE = 6
"""Pixels of the marked square."""


def _marked(height, width, top, left, dtype=np.uint8, side=SIDE):
    """A dark image with one bright square, which box, mask and key point (its middle) all tell of."""
    white = 255 if dtype == np.uint8 else 1
    image = np.zeros((height, width, 3), dtype)
    image[top : top + side, left : left + side] = white
    mask = np.zeros((height, width), np.uint8)
    mask[top : top + side, left : left + side] = 7
    box = [left, top, left + side, top + side]
    point = [left + side / 2, top + side / 2]
    return sample_of(image, {"mask": mask, "boxes": np.array([box]), "points": np.array([point])})


PLACES = st.tuples(st.integers(20, 48), st.integers(20, 48), st.floats(0, 1), st.floats(0, 1), st.integers(0, 2**32))


def _from(place, dtype=np.uint8):
    height, width, down, right, seed = place
    return _marked(height, width, round(down * (height - SIDE)), round(right * (width - SIDE)), dtype), seed


EXACT = [FlipHorizontal(probability=1.0), FlipVertical(probability=1.0), PadCrop(), RandomCrop(size=(16, 30))]
MOVING = [
    Scale(),
    Shift(share=0.2),
    Rotate(degrees=30),
    RandomResizedCrop(area=(0.3, 1.0)),
    SideScale(side=(20, 60)),
]


@pytest.mark.parametrize("step", EXACT, ids=lambda step: step.kind)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@given(place=PLACES)
@settings(max_examples=40, deadline=None)
def test_a_marked_pixel_is_exactly_where_the_annotations_say(step, dtype, place):
    sample, seed = _from(place, dtype)
    found = step.apply(sample, np.random.default_rng(seed), (24, 24))
    bright = found.image[:, :, 0] > 0
    np.testing.assert_array_equal(found.mask == 7, bright)
    left, top, right, bottom = found.boxes[0].astype(int)
    drawn = np.zeros_like(bright)
    drawn[top:bottom, left:right] = True
    np.testing.assert_array_equal(drawn, bright)
    x, y = found.points[0]
    if found.points_there[0]:
        assert bright[min(int(y), bright.shape[0] - 1), min(int(x), bright.shape[1] - 1)]
    assert found.points_there[0] == ((0 <= x <= bright.shape[1]) and (0 <= y <= bright.shape[0]))


@pytest.mark.parametrize("step", MOVING, ids=lambda step: step.kind)
@given(place=PLACES)
@example(place=(20, 22, 0.0, 1.0, 128566))
@settings(max_examples=40, deadline=None)
def test_a_marked_square_is_found_where_the_annotations_say(step, place):
    sample, seed = _from(place)
    found = augment(sample, [step], np.random.default_rng(seed), (32, 32), min_visibility=0.5)
    bright = found.image[:, :, 0].astype(float)
    left, top, right, bottom = found.boxes[0]
    inside = found.whole[0, 0] >= 0 and found.whole[0, 1] >= 0 and max(found.whole[0, 2:]) <= 32
    if inside:
        rows, columns = np.mgrid[:32, :32] + 0.5
        total = bright.sum()
        middle = np.array([(bright * columns).sum(), (bright * rows).sum()]) / total
        np.testing.assert_allclose(middle, found.points[0], atol=0.75)
        np.testing.assert_allclose([left + right, top + bottom], 2 * found.points[0], atol=1e-6)
    where = np.argwhere(bright > 128)
    if len(where):  # nothing bright beyond the box, to the width of a blurred edge
        # At the image's own rim a pixel is bright or not as a whole, before it is blurred: it may be off by half.
        at_rim = not all(0 < begin < size - SIDE for begin, size in zip(sample.boxes[0, 1::-1], place, strict=False))
        edge = max(1, 0.5 + 0.5 * 32 / min(place[:2])) if at_rim else 1
        assert where[:, 1].min() >= left - edge
        assert where[:, 1].max() + 1 <= right + edge
        assert where[:, 0].min() >= top - edge
        assert where[:, 0].max() + 1 <= bottom + edge
    assert set(np.unique(found.mask)) <= {0, 7}
    surely = (bright == 255) | (bright == 0)
    np.testing.assert_array_equal((found.mask == 7)[surely], (bright == 255)[surely])


@pytest.mark.parametrize("step", [*EXACT, *MOVING], ids=lambda step: step.kind)
@pytest.mark.parametrize("fill", [255, -1])
def test_what_comes_in_from_outside_is_the_fill_of_masks(step, fill):
    """A white image on black: where it is black the mask has its fill, where it is white the image's class."""
    sample = sample_of(np.full((20, 20, 3), 255, np.uint8), {"mask": np.ones((20, 20), np.uint8)}, mask_fill=fill)
    filled = 0
    for row in range(20):
        found = augment(sample, [step], generator(2, 0, row), (24, 24), 0.25)
        gray = found.image[:, :, 0]
        assert set(np.unique(found.mask)) <= {1, fill}
        assert (found.mask[gray == 0] == fill).all()
        assert (found.mask[gray == 255] == 1).all()
        filled += np.count_nonzero(gray == 0)
    assert bool(filled) == (step.kind in ("pad_crop", "random_crop", "scale", "shift", "rotate", "side_scale"))


@given(place=PLACES)
@settings(max_examples=30, deadline=None)
def test_chains_keep_picture_and_annotations_together(place):
    sample, seed = _from(place)
    steps = [Scale(range=(1.0, 1.3)), Rotate(degrees=10), FlipHorizontal(), PadCrop(pad=3), SideScale(side=(30, 40))]
    found = augment(sample, steps, np.random.default_rng(seed), (28, 28), min_visibility=0.3)
    if found.points_there[0] and found.boxes_there[0]:
        x, y = np.minimum(found.points[0], 27.9)
        nearby = found.image[max(int(y) - 1, 0) : int(y) + 2, max(int(x) - 1, 0) : int(x) + 2, 0]
        assert nearby.max() > 128
        assert found.mask[max(int(y) - 1, 0) : int(y) + 2, max(int(x) - 1, 0) : int(x) + 2].max() == 7


def test_boxes_leave_when_too_little_of_them_remains():
    sample = sample_of(np.zeros((10, 10, 3), np.uint8), {"boxes": np.array([[0, 0, 4, 4], [4, 0, 8, 4], [6, 6, 8, 8]])})
    half = crop(sample, 0, 2, 10, 8)  # the first loses its left half
    assert drop_lost_boxes(half, 0.5).boxes_there.tolist() == [True, True, True]
    assert drop_lost_boxes(half, 0.51).boxes_there.tolist() == [False, True, True]
    np.testing.assert_array_equal(half.boxes[0], [0, 0, 2, 4])


def test_what_has_left_does_not_come_back():
    """A box cut off by one crop stays cut off when the next step brings empty ground into the picture."""
    sample = sample_of(np.zeros((10, 10, 3), np.uint8), {"boxes": np.array([[0, 0, 4, 4]])})
    back = crop(crop(sample, 0, 3, 10, 7), 0, -3, 10, 10)
    np.testing.assert_array_equal(back.boxes[0], [3, 0, 4, 4])
    assert not drop_lost_boxes(back, 0.3).boxes_there[0]


def test_padded_boxes_and_points_are_not_there():
    boxes = np.array([[0, 0, 4, 4], [np.nan] * 4])
    sample = sample_of(np.zeros((8, 8, 1), np.uint8), {"boxes": boxes, "points": np.array([[1, 1], [np.nan, 2]])})
    assert sample.boxes_there.tolist() == [True, False]
    assert flip(sample, horizontal=True).points_there.tolist() == [True, False]


def test_points_on_the_edge_stay_in_a_mirror():
    """An annotation of column 0 is in the picture, and so it is in the picture's mirror image."""
    points = np.array([[0.0, 0.0], [10, 8], [9.5, 7.5], [10.01, 3], [3, -0.01]])
    sample = sample_of(np.zeros((8, 10, 1), np.uint8), {"points": points})
    assert sample.points_there.tolist() == [True, True, True, False, False]
    for horizontal in (True, False):
        assert flip(sample, horizontal).points_there.tolist() == [True, True, True, False, False]


def test_flipping_twice_is_nothing():
    sample, _ = _from((20, 31, 0.2, 0.7, 0))
    for horizontal in (True, False):
        twice = flip(flip(sample, horizontal), horizontal)
        np.testing.assert_array_equal(twice.image, sample.image)
        np.testing.assert_allclose(twice.boxes, sample.boxes)


def test_resized_masks_hold_old_classes_only():
    rng = np.random.default_rng(0)
    mask = rng.choice(np.array([3, 90, 255], np.uint8), (17, 23))
    sample = Sample(rng.integers(0, 256, (17, 23, 3), dtype=np.uint8), mask)
    assert set(np.unique(resize(sample, 40, 9).mask)) <= {3, 90, 255}


COLOR = [Brightness(), Contrast(), Saturation(), Hue(), Blur(), Noise(), Cutout()]


@pytest.mark.parametrize("step", COLOR, ids=lambda step: step.kind)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_colors_change_values_and_move_nothing(step, dtype, channels):
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (12, 14, channels), dtype=np.uint8)
    image = image if dtype == np.uint8 else (image / 255).astype(dtype)
    sample = sample_of(image, {"boxes": np.array([[1, 2, 3, 4]]), "mask": np.zeros((12, 14), int)})
    before = image.copy()
    found = step.apply(sample, rng, (12, 14))
    np.testing.assert_array_equal(image, before)
    assert found.image.dtype == dtype
    assert found.image.shape == image.shape
    np.testing.assert_array_equal(found.boxes, sample.boxes)
    colored = step.kind not in ("saturation", "hue") or channels == 3
    assert colored == bool((found.image != image).any())


def test_brightness_contrast_and_saturation_by_hand():
    image = np.array([[[10, 20, 30], [40, 50, 60]]], np.uint8)
    one = _Fixed(1.5)
    assert Brightness(amount=0.5).apply(Sample(image), one, (1, 2)).image.ravel().tolist() == [15, 30, 45, 60, 75, 90]
    gray = 0.299 * 25 + 0.587 * 35 + 0.114 * 45
    expected = np.clip(np.rint(1.5 * image + (1 - 1.5) * gray), 0, 255)
    np.testing.assert_array_equal(Contrast(amount=0.5).apply(Sample(image), one, (1, 2)).image, expected)
    own_gray = image @ np.array([0.299, 0.587, 0.114])
    expected = np.rint(1.5 * image - 0.5 * own_gray[..., None])
    np.testing.assert_array_equal(Saturation(amount=0.5).apply(Sample(image), one, (1, 2)).image, expected)


class _Fixed:
    """Random numbers that are no surprise."""

    def __init__(self, value):
        self.uniform = lambda low, high: value


def test_a_third_of_a_turn_takes_red_to_green():
    red = Sample(np.array([[[200, 0, 0]]], np.uint8))
    found = {tuple(Hue(degrees=120).apply(red, _Fixed(angle), (1, 1)).image.ravel()) for angle in (120, -120)}
    assert found == {(0, 200, 0), (0, 0, 200)}


def test_blur_keeps_the_sum_and_spreads_as_wide_as_it_says():
    image = np.zeros((31, 31, 1), np.float32)
    image[15, 15] = 1
    found = Blur(sigma=(2.0, 2.0)).apply(Sample(image), np.random.default_rng(0), (31, 31)).image[:, :, 0]
    assert found.sum() == pytest.approx(1, abs=1e-4)
    spread = (found.sum(axis=0) * (np.arange(31) - 15) ** 2).sum()
    assert spread == pytest.approx(4, rel=0.03)


def test_steps_happen_as_often_as_they_say():
    image = np.arange(12, dtype=np.uint8).reshape(1, 12, 1)
    step = FlipHorizontal(probability=0.3)
    flipped = [augment(Sample(image), [step], generator(0, 0, row), (1, 12), 0).image[0, 0, 0] for row in range(2000)]
    assert np.mean(np.array(flipped) != 0) == pytest.approx(0.3, abs=0.04)


def test_random_numbers_come_from_seed_epoch_and_example():
    keys = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
    assert len({generator(*key).integers(2**60) for key in keys}) == 4
    assert generator(3, 4, 5).integers(2**60) == generator(3, 4, 5).integers(2**60)


@pytest.mark.parametrize(
    ("step", "side", "offsets"),
    [
        (RandomCrop(size=(4, 4)), 7, range(4)),
        (RandomCrop(size=(9, 9)), 7, range(-2, 1)),
        (PadCrop(pad=2), 7, range(-2, 3)),
    ],
    ids=["inside", "around", "padded"],
)
def test_a_window_comes_to_every_offset_equally_often(step, side, offsets):
    """To the first and the last too."""
    image = np.arange(1, side * side + 1, dtype=np.uint8).reshape(side, side, 1)
    found = []
    for row in range(200 * len(offsets)):
        window = step.apply(Sample(image), generator(0, 0, row), (4, 4)).image[:, :, 0]
        y, x = np.argwhere(window)[0]
        top, left = divmod(int(window[y, x]) - 1, side)
        found.append((top - int(y), left - int(x)))
    for axis in (0, 1):
        seen = Counter(place[axis] for place in found)
        assert sorted(seen) == list(offsets)
        assert min(seen.values()) > 100


def test_a_resized_crop_covers_the_areas_and_aspects_it_says():
    step = RandomResizedCrop(area=(0.2, 0.5), aspect=(0.5, 2.0))
    sample = _marked(100, 100, 0, 0, side=100)
    for row in range(50):
        whole = step.apply(sample, generator(0, 0, row), (10, 10)).whole[0]
        width, height = whole[2:] - whole[:2]  # of the entire image, in output pixels
        assert 0.19 <= 10 / width * 10 / height <= 0.51
        assert 0.48 <= (10 / width) / (10 / height) <= 2.1


def test_mixed_labels_are_shares_of_the_picture():
    images = np.stack([np.full((8, 8, 1), value, np.uint8) for value in (0, 100, 200, 250)])
    labels = np.array([0, 1, 2, 2])
    for step in (MixUp(alpha=1.0), CutMix()):
        mixed, shares = mix_batch(images, labels, 3, [step], lambda row: generator(1, 2, row))
        np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-6)
        assert (shares >= 0).all()
        assert (mixed != images).any()
    colors = np.array([0, 1], np.uint8)[:, None, None, None] * np.ones((8, 8, 1), np.uint8)
    mixed, shares = mix_batch(colors, np.array([0, 1]), 2, [CutMix()], lambda row: generator(5, 0, row))
    np.testing.assert_allclose(mixed.mean(axis=(1, 2, 3)), shares[:, 1], atol=1e-6)


def test_every_kind_is_tried_here():
    elsewhere = {Perspective, Rotate90, RandomGray, RandAugment}  # test_rand_augment
    tried = {type(step) for step in (*EXACT, *MOVING, *COLOR)} | {MixUp, CutMix} | elsewhere
    assert tried == set(AUGMENTATIONS)
    assert all(issubclass(kind, (Augmentation, Mix)) for kind in AUGMENTATIONS)


@pytest.mark.parametrize(
    ("kind", "settings_"),
    [(Scale, {"range": (2.0, 1.0)}), (SideScale, {"side": (9, 8)}), (RandomResizedCrop, {"area": (0.5, 1.5)}),
     (Blur, {"sigma": (2.0, 1.0)}), (Noise, {"deviation": (0.2, 0.1)})],
)  # fmt: skip
def test_ranges_are_checked(kind, settings_):
    with pytest.raises(ValueError, match="expected"):
        kind(**settings_)
