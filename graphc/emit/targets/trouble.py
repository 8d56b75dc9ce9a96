"""A row of the table of what runtimes cannot do, or do wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from graphc.emit.targets.seen import Seen

Effect: TypeAlias = Literal["wrong", "imprecise", "refused"]
Rewrite: TypeAlias = Literal["pad_channels", "pad_filters", "split_groups", "slice_pixels", "fuse_sums"]


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that a runtime cannot do, or does wrong."""

    name: str
    target: str
    is_met: Callable[[Seen], bool]
    """Whether a node meets it."""
    meets: str
    """Which nodes, in words."""
    says: str
    """What happens, as the beginning of a warning."""
    tried: str
    """Versions."""
    effect: Effect = "refused"
    """`wrong`: other numbers, without an error; `imprecise`: somewhat other ones."""
    instead: str = ""
    """The form that works, in words."""
    rewrite: Rewrite | None = None
    """What writes it."""
    once: bool = False
    """Whether one warning does for a file: it is met by the numbers that it is written in, not by a layer."""
    without_vnni: bool = False
    """Whether it is so on processors alone that cut sums of two products off at 16 bits."""
