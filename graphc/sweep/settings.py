"""What a sweep.yaml says."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
from pydantic import Field, GetJsonSchemaHandler, PrivateAttr, field_validator, model_validator

from graphc.documented import ReadableSchema, flow
from graphc.errors import Place, SpecError, clipped, did_you_mean
from graphc.passes.expectations import MEMORY, TOTALS, budget_of
from graphc.settings import LIST, WHOLE, JsonSchema, Settings, Short, validate
from graphc.spec.source import SpecMap, load_file
from graphc.train.recipe_tree import LIMITS, overridden, place_in

VERSION = 1
COSTS = (*TOTALS, *MEMORY)
"""What is known of a network before it is trained: parameters, MACs, bytes."""
MOST_TRIALS = 100_000
MOST_VALUES = 1_000_000
MOST_LISTED, MOST_RANGES = 1_000, 100
"""Values that all ranges list, and ranges."""
LONGEST_NAME = 200
"""Characters."""
LARGEST_WHOLE = 2**53
"""Up to which Optuna's storages, which keep numbers as float64, tell whole numbers apart."""
Pair: TypeAlias = Annotated[tuple[float, float], LIST]
IntPair: TypeAlias = Annotated[tuple[int, int], LIST]


class Range(Settings):
    """The values that a setting may have."""

    exactly_one = (("values", "uniform", "log_uniform", "int_uniform"),)

    values: Annotated[tuple[Any, ...], LIST] | None = None
    """Each of these, as likely as any other; a list alone means the same."""
    uniform: Pair | None = None
    """A number from the first to the second, each as likely."""
    log_uniform: Pair | None = None
    """A number from the first to the second, its logarithm uniform: for learning rates and decays."""
    int_uniform: IntPair | None = None
    """A whole number from the first to the second, both included."""

    @model_validator(mode="after")
    def _ends(self) -> Range:
        for ends in filter(None, (self.uniform, self.log_uniform, self.int_uniform)):
            if not ends[0] < ends[1]:
                raise ValueError(f"expected two ends, the lower one first, found {list(ends)}")
            if not math.isfinite(ends[1] - ends[0]):
                raise ValueError(f"expected ends whose difference is a number, found {list(ends)}")
        if self.int_uniform is not None and max(map(abs, self.int_uniform)) > LARGEST_WHOLE:
            raise ValueError(f"int_uniform: expected ends up to {LARGEST_WHOLE:,}, found {list(self.int_uniform)}")
        if self.log_uniform is not None and self.log_uniform[0] <= 0:
            raise ValueError(f"log_uniform: expected ends above 0, found {list(self.log_uniform)}")
        return self

    @property
    def points(self) -> Sequence[Any] | None:
        """All values, where they can be counted."""
        if self.int_uniform is not None:
            return range(self.int_uniform[0], self.int_uniform[1] + 1)
        return self.values

    def has(self, value: Any) -> bool:
        """Whether a value is one of these; of a list, of which texts may be alike, by how it is written."""
        if self.values is not None:
            return flow(value) in map(flow, self.values)
        if self.int_uniform is not None:
            return type(value) is int and self.int_uniform[0] <= value <= self.int_uniform[1]
        low, high = self.uniform or self.log_uniform or (0.0, 0.0)
        return type(value) in (int, float) and low <= value <= high

    def has_number(self, value: Any) -> bool:
        """Whether a number stands for one of these as Optuna keeps them: of a list for its place."""
        if self.values is not None:
            return type(value) is int and 0 <= value < len(self.values)
        return self.has(value)

    def draw(self, rng: np.random.Generator) -> Any:
        """A value."""
        if self.points is not None:
            return self.points[int(rng.integers(len(self.points)))]
        if self.uniform is not None:
            return float(rng.uniform(*self.uniform))
        assert self.log_uniform is not None
        low, high = map(math.log, self.log_uniform)
        return min(max(math.exp(rng.uniform(low, high)), self.log_uniform[0]), self.log_uniform[1])


class _ListForValues(Short):
    def expand(self, value: Any) -> Any:
        return {"values": value} if isinstance(value, list) else value

    def json_schema(self, long: JsonSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        return {"anyOf": [long, {"type": "array", "minItems": 1}]}


AnyRange: TypeAlias = Annotated[Range, _ListForValues()]


class Sweep(Settings):
    """A sweep: one recipe, and what varies."""

    sweep: Annotated[Literal[1], WHOLE]
    """The format's version."""
    recipe: str
    """The recipe that every trial trains, below the folder of this file or by an absolute path."""
    variables: dict[str, AnyRange] = Field(default={})
    """Variables of the spec that vary, by name."""
    settings: dict[str, AnyRange] = Field(default={})
    """Keys of the recipe that vary: `learning_rate`, `optimizer.adam.beta1`."""
    sampler: Literal["grid", "random", "tpe"] = "random"
    """Which values are tried: every combination (`grid`), drawn ones (`random`), or those that did well so far and what
    is near them (`tpe`, Bayesian: the tree-structured Parzen estimator of Bergstra et al. 2011)."""
    trials: Annotated[int, Field(gt=0, le=MOST_TRIALS)] | None = None
    """How many; of a grid at most all its points, which is the default."""
    seed: int = Field(default=0, ge=0, le=2**32 - 1)
    """Of what is drawn. With grid and random it fixes the trials for any number of workers."""
    objectives: dict[str, Literal["maximize", "minimize"]] = Field(default={})
    """Names in the log of a run (`validation_accuracy`), or costs of its network (`params`, `macs`, `memory`, …); of
    several there is a front. Default: what the recipe monitors."""
    constraints: dict[str, str | float | int] = Field(default={})
    """Costs of the network with their bounds, such as `macs: <= 5e6`; a variant that breaks one is not trained."""
    pruning: Literal["none", "median", "successive_halving"] = "none"
    """Whether trials end early that do worse than half of the others did at this epoch (`median`), or than the best
    third of those that came to epochs 1, 3, 9, … (`successive_halving`); of one objective, which the log has."""
    prune_after: int = Field(default=1, ge=0, le=1_000_000)
    """Epochs that `median` leaves every trial."""

    _tree: SpecMap | None = PrivateAttr(default=None)

    @field_validator("constraints")
    @classmethod
    def _costs(cls, constraints: dict[str, str | float | int]) -> dict[str, str | float | int]:
        for name, bound in constraints.items():
            if name not in COSTS:
                known = did_you_mean(name, COSTS) or f"; there are {', '.join(COSTS)}"
                raise ValueError(f"expected a cost of networks, found {name!r}{known}")
            try:
                budget_of(name, bound, Place(""))
            except SpecError as error:
                raise ValueError(error.message) from None
        return constraints

    @model_validator(mode="after")
    def _possible(self) -> Sweep:
        ranges = self.ranges
        if not ranges:
            raise ValueError("expected `variables` or `settings` that vary")
        if len(ranges) > MOST_RANGES:
            raise ValueError(f"expected at most {MOST_RANGES:,} that vary, found {len(ranges):,}")
        listed = sum(len(each.values or ()) for each in ranges.values())
        if listed > MOST_LISTED:
            raise ValueError(f"expected at most {MOST_LISTED:,} values in lists, found {listed:,}")
        for name, each in ranges.items():
            if "=" in name or not all(name.split(".")) or not is_short_name(name):
                found = clipped(name)
                raise ValueError(f"expected the name of a variable, or keys with dots between them, found {found}")
            for value in each.values or ():
                _require_readable(name, value)
        if wrong := [name for name in self.objectives if not is_short_name(name)]:
            raise ValueError(f"objectives: expected names of numbers, found {clipped(wrong[0])}")
        both = set(self.variables) & {key.removeprefix("model.set.") for key in self.settings}
        if both and any(f"model.set.{name}" in self.settings for name in both):
            raise ValueError(f"{sorted(both)[0]} varies as a variable and as model.set")
        if self.sampler == "grid":
            open_ones = [name for name, each in ranges.items() if each.points is None]
            if open_ones:
                raise ValueError(f"a grid needs values that can be counted: {open_ones[0]} is a range of numbers")
            if self.grid_size > MOST_TRIALS:
                found = f"{self.grid_size:,}" if self.grid_size < 2**63 else "2**63 or more"
                raise ValueError(f"expected a grid of at most {MOST_TRIALS:,} points, found {found}")
        elif self.trials is None:
            raise ValueError(f"`trials` says how many there are to be, where the sampler is {self.sampler}")
        if self.count * len(ranges) > MOST_VALUES:
            found = f"{self.count:,} trials of {len(ranges):,}"
            raise ValueError(f"expected at most {MOST_VALUES:,} values of all trials together, found {found}")
        if self.pruning != "none" and (len(self.objectives) > 1 or any(name in COSTS for name in self.objectives)):
            raise ValueError("pruning expects one objective, a name in the log")
        return self

    @property
    def ranges(self) -> dict[str, Range]:
        """What varies, by the name that tables give it."""
        return {**self.variables, **self.settings}

    @property
    def grid_size(self) -> int:
        """Points of the grid."""
        return math.prod(len(each.points or ()) for each in self.ranges.values())

    @property
    def count(self) -> int:
        """How many trials there are to be."""
        return min(self.trials or self.grid_size, self.grid_size) if self.sampler == "grid" else self.trials or 0

    def planned(self) -> list[dict[str, Any]]:
        """The trials' values by name, in order; none of `tpe`, which looks at those that are done."""
        names = list(self.ranges)
        if self.sampler == "grid":
            points = itertools.product(*(each.points or () for each in self.ranges.values()))
            return [dict(zip(names, point, strict=True)) for point in itertools.islice(points, self.count)]
        if self.sampler == "tpe":
            return []
        rngs = [np.random.default_rng([self.seed, number]) for number in range(self.count)]
        return [{name: each.draw(rng) for name, each in self.ranges.items()} for rng in rngs]

    def overrides(self, values: Mapping[str, Any]) -> list[str]:
        """What a trial's values are as `--set` of `graphc train`."""
        keys = {name: name if name in self.settings else f"model.set.{name}" for name in values}
        return [f"{keys[name]}={_written(value)}" for name, value in values.items()]

    def place_of(self, *keys: str) -> Place | None:
        """Where the file says what is at these keys."""
        return None if self._tree is None else place_in(self._tree, keys)


def params_of(sweep: Sweep, values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as Optuna keeps them: of a list, the number of the value, which may be of any type."""
    found = {}
    for name, value in values.items():
        points = sweep.ranges[name].values
        found[name] = value if points is None else [*map(flow, points)].index(flow(value))  # 1 is not true
    return found


def is_short_name(name: str) -> bool:
    """Whether a name of a setting, or of a number of the log, is one that tables have room for."""
    return len(name) <= LONGEST_NAME and name.isprintable()


def _written(value: Any) -> str:
    """A value as `--set` reads it: a text stands as it is."""
    return value if isinstance(value, str) else "null" if value is None else flow(value)


def _require_readable(name: str, value: Any) -> None:
    """A ValueError where `--set` would read another value, as it does of the text 1."""
    where = Place("--set")
    try:
        found = overridden(SpecMap.empty(where), f"value={_written(value)}")["value"]
    except SpecError as error:
        message = f"{name}: expected values that --set can write, found {clipped(value)}: {error.message}"
        raise ValueError(message) from None
    if flow(found) != flow(value):
        read = clipped(found)
        raise ValueError(
            f"{name}: expected values that --set can write, found {clipped(value)}, which it reads as {read}"
        )


def read_sweep(path: Path | str) -> Sweep:
    """The sweep in a file; SpecErrors with their places."""
    tree = load_file(path, LIMITS, number_keys=True)
    if not isinstance(tree, SpecMap):
        raise SpecError("G605", "expected a mapping with the keys of a sweep", Place(str(path), 1, 1))
    found = validate(Sweep, tree, lambda keys, of_key: place_in(tree, keys, of_key))
    found._tree = tree
    return found


def sweep_schema() -> dict[str, Any]:
    """The JSON Schema of sweeps, for editors."""
    schema = Sweep.model_json_schema(schema_generator=ReadableSchema)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "graphc sweep"}
