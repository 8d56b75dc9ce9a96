"""Images of every type: what black and white are, and what augmentation does to values."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.data.augment.base import augment, generator
from graphc.data.augment.color import Blur, Brightness, Contrast, Cutout, Hue, Noise, Saturation
from graphc.data.augment.geometry import PadCrop, RandomCrop, RandomResizedCrop, Rotate, Scale, Shift, SideScale
from graphc.data.augment.mix import MixUp
from graphc.data.batches import Augmenting, Batches
from graphc.data.examples import Examples
from graphc.data.preprocess import FittedPreprocess, Preprocess
from graphc.data.preview import tile
from graphc.data.sample import Sample, crop, resize, sample_of
from graphc.data.value_range import UnknownRange, ValueRange, in_type, range_of
from graphc.errors import DataError

SHARES = np.random.default_rng(7).integers(0, 256, (14, 12, 3)) / 255
"""An image as shares of white."""
TYPES = {
    "uint8": (np.uint8, (0, 255), False),
    "int8": (np.int8, (-128, 127), False),
    "uint16": (np.uint16, (0, 65535), False),
    "int16": (np.int16, (-32768, 32767), False),
    "uint32": (np.uint32, (0, 2**32 - 1), False),
    "int32": (np.int32, (-(2**31), 2**31 - 1), False),
    "12 bits": (np.uint16, (0, 4095), True),
    "int64 bytes": (np.int64, (0, 255), True),
    "float16": (np.float16, (0, 1), False),
    "float32": (np.float32, (0, 1), False),
    "float64": (np.float64, (0, 1), False),
    "float 255": (np.float32, (0, 255), True),
    "about 0": (np.float32, (-1, 1), True),
}
"""(type, range, whether the range has to be said)."""
STEPS = [
    Brightness(amount=0.9),
    Contrast(amount=0.9),
    Saturation(amount=0.9),
    Hue(degrees=60),
    Blur(),
    Noise(deviation=(0.2, 0.2)),
    Cutout(fill=1.0),
    Cutout(fill=0.25),
    PadCrop(pad=4, fill=1.0),
    Shift(share=0.5, fill=0.5),
    Rotate(degrees=40),
    Scale(range=(0.5, 0.5), fill=1.0),
    RandomCrop(size=(20, 20), fill=0.5),
    RandomResizedCrop(),
    SideScale(side=(16, 24)),
]


def _image(kind):
    """The image in a type, and its range where that has to be said."""
    dtype, (low, high), said = TYPES[kind]
    values = low + SHARES * (high - low)
    image = np.rint(values).astype(dtype) if np.dtype(dtype).kind in "iu" else values.astype(dtype)
    return image, ValueRange(low, high) if said else None


def _shares(image, kind):
    low, high = TYPES[kind][1]
    return (image.astype(np.float64) - low) / (high - low)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("step", STEPS, ids=lambda step: f"{step.kind}")
def test_augmentation_is_the_same_in_every_type(step, kind):
    """What it does to shares of white is what it does to doubles from 0 to 1."""
    image, said = _image(kind)
    for seed in range(3):
        expected = augment(sample_of(SHARES, {}), [step], generator(seed, 0, 0), (14, 12), 0.25).image
        found = augment(sample_of(image, {}, said), [step], generator(seed, 0, 0), (14, 12), 0.25).image
        assert found.dtype == image.dtype
        low, high = TYPES[kind][1]
        assert found.min() >= low
        assert found.max() <= high
        steps = 255 if "8" in kind or "bytes" in kind else 1000 if kind in ("float16", "12 bits") else 1e5
        np.testing.assert_allclose(_shares(found, kind), expected, atol=2 / steps)


@pytest.mark.parametrize("kind", ["float 255", "about 0", "int64 bytes"])
@pytest.mark.parametrize(
    "step", [Brightness(), Contrast(), Saturation(), Hue(), Noise(), Cutout(), Shift(), PadCrop()], ids=lambda s: s.kind
)
def test_what_cannot_be_known_is_asked_for(step, kind):
    image, _ = _image(kind)
    with pytest.raises(DataError, match=r"needs to know which values are black and white, found \w+ from ") as caught:
        augment(sample_of(image, {}), [step] * 3, generator(0, 0, 0), (14, 12), 0.25)
    assert "value_range: [black, white]" in str(caught.value)


@pytest.mark.parametrize("kind", ["float 255", "about 0", "int64 bytes"])
@pytest.mark.parametrize("step", [Blur(), RandomResizedCrop(), RandomCrop(size=(4, 4))], ids=lambda s: s.kind)
def test_what_needs_no_range_does_not_ask(step, kind):
    image, said = _image(kind)
    free, told = (
        augment(sample_of(image, {}, r), [step], generator(0, 0, 0), (8, 8), 0.25).image for r in (None, said)
    )
    np.testing.assert_array_equal(free, told)


def test_a_picture_of_unknown_values_is_asked_for_too():
    with pytest.raises(DataError, match="a picture needs to know"):
        tile(sample_of(_image("float 255")[0], {}))
    grey = np.full((4, 4, 1), 2047.5, np.float32)
    assert np.asarray(tile(sample_of(grey, {}, ValueRange(0, 4095))))[0, 0].tolist() == [128] * 3


@pytest.mark.parametrize(
    ("dtype", "value", "expected"),
    [
        (np.uint8, [-3.0, 0.5, 1.5, 254.6, 300.0], [0, 0, 2, 255, 255]),
        (np.uint16, [-1.0, 65534.5, 70000.0], [0, 65534, 65535]),
        (np.int16, [-40000.0, -1.6, 40000.0], [-32768, -2, 32767]),
        (np.int32, [-3e9, 2147483648.0, 7.4], [-(2**31), 2**31 - 1, 7]),
        (np.uint64, [-1.0, 3e19], [0, 2**64 - 2048]),
        (np.int64, [-1e19, 1e19], [-(2**63), 2**63 - 1024]),
        (bool, [0.49, 0.5], [False, True]),
        (np.float16, [0.5, 2.0], [0.5, 2.0]),
    ],
)
@pytest.mark.parametrize("given", [np.float32, np.float64])
def test_numbers_are_rounded_and_cut_off_never_wrapped(given, dtype, value, expected):
    found = in_type(np.array(value, given), dtype)
    assert found.dtype == dtype
    if given == np.float64:
        assert found.tolist() == expected
    else:
        np.testing.assert_allclose(found.astype(np.float64), np.array(expected, np.float64), atol=1, rtol=1e-7)


def test_what_an_image_shows_of_its_range():
    ones = np.ones(3)
    assert range_of(ones) == ValueRange(0, 1)
    assert range_of(ones * 1.5) == UnknownRange("float64 from 1.5 to 1.5")
    assert range_of(np.array([-1.0, 0.5])) == UnknownRange("float64 from -1 to 0.5")
    assert isinstance(range_of(ones * np.nan), UnknownRange)
    assert range_of(ones.astype(bool)) == ValueRange(0, 1)
    assert range_of(ones.astype(np.int16)) == ValueRange(-32768, 32767)
    assert range_of(ones.astype(np.int32)) == UnknownRange("int32 from 1 to 1")
    assert range_of(np.array([2**31 - 1], np.int32)) == ValueRange(-(2**31), 2**31 - 1)
    assert range_of(np.array([-(2**31)], np.int32)) == ValueRange(-(2**31), 2**31 - 1)


def test_resizing_rounds_and_crops_fill():
    image = np.array([[0, 65535]], np.uint16)[..., None]
    assert resize(Sample(image), 1, 1).image.ravel().tolist() == [32768]
    edge = crop(sample_of(image, {}), 0, -1, 1, 4, fill=1.0).image.ravel()
    assert edge.tolist() == [65535, 0, 65535, 65535]
    signed = crop(sample_of(image.astype(np.int16), {}), 0, -1, 1, 4).image.ravel()
    assert signed.tolist() == [-32768, 0, -1, -32768]


def test_mixed_integers_are_rounded():
    own, other = np.array([[[65535]]], np.uint16), np.array([[[0]]], np.uint16)
    MixUp().mix(own, other, 0.3, np.random.default_rng(0))
    assert own.ravel().tolist() == [round(0.3 * 65535)]


@pytest.mark.parametrize("seed", range(3))
def test_one_dark_image_does_not_make_a_data_set_dark(seed):
    """All images say together what they are; of one whose values happen to lie in 0 to 1 nothing else is believed."""
    images = np.zeros((2, 4, 4, 1), np.float32)
    images[1] = 255
    examples = Examples({"image": images}, {"label": np.zeros(2, np.int64)}, source="dark.npz")
    augmenting = Augmenting(seed, (RandomCrop(size=(6, 6), fill=1.0),))
    batches = Batches(
        examples, 1, {"image": (4, 4, 1)}, np.float32, {"image": FittedPreprocess(Preprocess())}, augmenting
    )
    with pytest.raises(DataError, match=r"dark.npz: error\[G412\]: a fill needs .* found float32 from 0 to 255"):
        batches.make(np.array([0]), epoch=0)
