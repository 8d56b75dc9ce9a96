"""What the losses of a recipe want of a data set, said to its source before it is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from graphc.data.alphabet import Alphabet
from graphc.data.resizing import STRETCH, Resizing
from graphc.data.sample import BOXES
from graphc.data.target_kind import TargetKind


@dataclass(frozen=True, slots=True)
class Want:
    """What is wanted of one target."""

    kinds: frozenset[TargetKind] = frozenset({TargetKind.CLASS})
    """What the losses take."""
    shape: tuple[int, ...] | None = None
    """Of the prediction that it is compared with, where a model is known."""
    ignore: int | None = None
    """The label that does not count."""
    alphabet: Alphabet | None = None
    """Which label a character of a text is."""

    @property
    def outputs(self) -> int | None:
        """Numbers that are predicted at each place."""
        if self.shape is None:
            return None
        return self.shape[-1] if self.shape else 1

    @property
    def classes(self) -> int | None:
        """How many classes the prediction can tell apart; a single output tells two apart."""
        return None if self.outputs is None else max(self.outputs, 2)

    @property
    def ignored(self) -> str | None:
        """How the label that does not count is written, where it is no class's index."""
        if self.ignore is None or 0 <= self.ignore < (self.classes or 0):
            return None
        return str(self.ignore)

    @property
    def of_values(self) -> bool:
        """Whether only numbers to be predicted will do."""
        return self.kinds == {TargetKind.VALUES}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is wanted of a data set."""

    targets: Mapping[str, Want] | None = None
    """By target name; None: nobody said, whatever there is is read."""
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Names of the training set's classes by target: other sets count them by name."""
    resizing: Resizing = STRETCH
    """How images of files get their size."""
    mask_fill: int = 0
    """Class of what is beside the image in masks."""

    whole: bool = False
    """Images of files are wanted in their own size, since augmentation cuts from them."""

    def of(self, target: str) -> Want:
        """What is wanted of a target; classes where nobody said."""
        return (self.targets or {}).get(target, Want())

    @property
    def boxes(self) -> int | None:
        """Boxes that the network predicts for an image, where it predicts boxes: N K 4, or N 4 for one."""
        shape = self.of(BOXES).shape
        if shape is None or shape[-1:] != (4,) or len(shape) > 2:
            return None
        return shape[0] if len(shape) == 2 else 1


ANYTHING = Wanted()
