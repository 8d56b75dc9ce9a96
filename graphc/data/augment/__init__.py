"""Augmentation: the catalogue, one line a kind."""

from __future__ import annotations

from graphc.data.augment.base import Augmentation
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
from graphc.data.augment.mix import CutMix, Mix, MixUp
from graphc.data.augment.rand_augment import RandAugment

AUGMENTATIONS: tuple[type[Augmentation] | type[Mix], ...] = (
    FlipHorizontal,
    FlipVertical,
    Brightness,
    Contrast,
    Saturation,
    Hue,
    RandomGray,
    Blur,
    Noise,
    Cutout,
    Scale,
    Shift,
    Rotate,
    Rotate90,
    Perspective,
    RandomCrop,
    PadCrop,
    RandomResizedCrop,
    SideScale,
    RandAugment,
    MixUp,
    CutMix,
)
"""What a recipe's `augment` may list."""
