"""All that training changes, and so all that a checkpoint holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from graphc.errors import clipped, counted
from graphc.train.optimizers import SQUARE, Optimizer, new_slots
from graphc.train.schedules import Plateau
from graphc.types import Array
from graphc.valid_json import lacking

Totals = dict[str, dict[str, Array]]
WATCH, PLATEAU = "watch", "plateau"
"""Where the facts of a checkpoint hold the tracker and the schedule's plateau."""
MAYBE = float | int | None
OF_WATCH: Mapping[str, Any] = {
    "name": str, "best": MAYBE, "epoch": int, "reference": MAYBE, "waited": int, "sha256": str
}  # fmt: skip
OF_PLATEAU: Mapping[str, Any] = {"factor": float | int, "reference": MAYBE, "waited": int, "resting": int}


@dataclass
class BestTracker:
    """How the watched number has done so far."""

    name: str = ""
    """Of the number; empty before the first validation."""
    best: float | None = None
    epoch: int = 0
    """Of the best value."""
    reference: float | None = None
    """What early stopping compares with: the last value that was better than the one before by more than its delta."""
    waited: int = 0
    """Validations since then."""
    sha256: str = ""
    """Of the file with the best weights."""


@dataclass
class TrainState:
    """The one mutable thing: updated in place, step by step."""

    params: dict[str, Array]
    """Every variable by full name, moving averages of batch norm too."""
    slots: dict[str, tuple[Array, ...]]
    """What the optimizer keeps beside each variable that learns."""
    average: dict[str, Array] = field(default_factory=dict)
    """The moving average of every variable, where the recipe asks for one."""
    order: Array = field(default_factory=lambda: np.empty(0, np.int64))
    """Rows of the training set in this epoch's order."""
    totals: Totals = field(default_factory=dict)
    """Sums of this epoch: of losses, and of each metric."""
    step: int = 0
    """Steps done."""
    epoch: int = 0
    """Whole epochs done."""
    position: int = 0
    """Steps done of the epoch that is under way."""
    tracker: BestTracker = field(default_factory=BestTracker)
    plateau: Plateau = field(default_factory=Plateau)

    @staticmethod
    def start(params: Mapping[str, Array], optimizer: Optimizer, learning: list[str], averaged: bool) -> TrainState:
        """The state before the first step, of variables each in its own shape; `learning` names the variables that the
        optimizer moves."""
        return TrainState(
            params=dict(params),
            slots={name: new_slots(optimizer, params[name]) for name in learning},
            average={name: value.copy() for name, value in params.items()} if averaged else {},
        )

    def arrays(self, optimizer: Optimizer) -> dict[str, Array]:
        """Every array [...] under one name each."""
        found = {f"params/{name}": value for name, value in self.params.items()}
        for name, slots in self.slots.items():
            found |= {f"slots/{slot}/{name}": value for slot, value in zip(optimizer.slots, slots, strict=True)}
        found |= {f"average/{name}": value for name, value in self.average.items()}
        found |= {f"totals/{one}/{key}": value for one, sums in self.totals.items() for key, value in sums.items()}
        found["order"] = self.order
        return found

    def negative_square(self, optimizer: Optimizer) -> str | None:
        """The first slot of squares with a number below 0, by its name as in `arrays`."""
        start = f"slots/{SQUARE}/"
        found = (name for name, value in self.arrays(optimizer).items() if name.startswith(start) and (value < 0).any())
        return next(found, None)

    def facts(self) -> dict[str, Any]:
        """Everything that is not an array."""
        counts = {"step": self.step, "epoch": self.epoch, "position": self.position}
        return {**counts, WATCH: asdict(self.tracker), PLATEAU: asdict(self.plateau)}

    def others(self, arrays: Mapping[str, Array], optimizer: Optimizer) -> str:
        """Which of `arrays` [...] this state has not, in words: the first one, and how many there are; else nothing."""
        own = self.arrays(optimizer)
        found = [name for name in arrays if name not in own]
        return f"{counted(len(found), 'array')} such as {clipped(found[0])}" if found else ""

    def restore(self, arrays: Mapping[str, Array], facts: Mapping[str, Any], optimizer: Optimizer) -> None:
        """Take over what `arrays` [...] and `facts` gave; a KeyError, TypeError or ValueError where they are of another
        state."""
        for key, types in ((WATCH, OF_WATCH), (PLATEAU, OF_PLATEAU)):
            if said := lacking(facts.get(key, {}), {}, types):
                raise ValueError(f"{key}: {said}")
        for name, value in self.arrays(optimizer).items():
            if name.startswith(("params/", "slots/", "average/")):
                if value.shape != arrays[name].shape or value.dtype != arrays[name].dtype:
                    raise ValueError(f"{name}: expected {value.dtype}{value.shape}")
                np.copyto(value, arrays[name])
        self.order = np.array(arrays["order"])
        self.totals = {}
        for name, value in arrays.items():
            if name.startswith("totals/"):
                _, one, key = name.split("/")
                self.totals.setdefault(one, {})[key] = np.array(value)
        self.step, self.epoch, self.position = facts["step"], facts["epoch"], facts["position"]
        self.tracker, self.plateau = BestTracker(**facts[WATCH]), Plateau(**facts.get(PLATEAU, {}))
