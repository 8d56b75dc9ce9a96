"""What is said of a file of weights besides what it says itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphc.name_rules import NameRule
from graphc.weights.file import Layout


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """Whose a file is, by what names, and which of its arrays are meant."""

    source: str | None = None
    """`torchvision`, or `timm:resnet50`, where names do not tell."""
    rules: Sequence[NameRule] = ()
    """From its names to ours, in place of what the spec says of its source."""
    ema: bool = False
    """The moving averages that it has of its variables."""
    layout: Layout | None = None
    """How its arrays lie, where it does not say."""


DEFAULT = LoadOptions()
