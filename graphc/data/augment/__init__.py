"""Augmentation: the catalogue, one line a kind."""

from __future__ import annotations

from graphc.data.augment.base import Augmentation
from graphc.data.augment.color import Blur, Brightness, Contrast, Cutout, Hue, Noise, Saturation
from graphc.data.augment.geometry import (
    FlipHorizontal,
    FlipVertical,
    PadCrop,
    RandomCrop,
    RandomResizedCrop,
    Rotate,
    Scale,
    Shift,
    SideScale,
)
from graphc.data.augment.mix import CutMix, Mix, MixUp

AUGMENTATIONS: tuple[type[Augmentation] | type[Mix], ...] = (
    FlipHorizontal,
    FlipVertical,
    Brightness,
    Contrast,
    Saturation,
    Hue,
    Blur,
    Noise,
    Cutout,
    Scale,
    Shift,
    Rotate,
    RandomCrop,
    PadCrop,
    RandomResizedCrop,
    SideScale,
    MixUp,
    CutMix,
)
"""What a recipe's `augment` may list."""
