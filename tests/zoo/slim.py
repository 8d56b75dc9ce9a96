"""TF-Slim's nets as facts, and its way to draw every variable from its name."""

from __future__ import annotations

import hashlib
import json
import math
import os
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphc.graph import Plan
from graphc.passes.expand import expand
from graphc.passes.plan import plan
from graphc.spec.model import read_spec
from graphc.types import Array

REFERENCE = Path(__file__).parent / "reference"


@dataclass(frozen=True)
class Case:
    """A net as TF-Slim has it, and the spec and settings of ours that make the same."""

    name: str
    spec: str
    settings: tuple[str, ...]
    input: tuple[int, ...]
    variables: Mapping[str, Any]
    end_points: Mapping[str, Sequence[int]]
    output: Mapping[str, Any]

    def plan(self) -> Plan:
        return plan_of(self.spec, self.settings)

    def image(self) -> Array:
        return np.random.default_rng(0).standard_normal(self.input, dtype=np.float32)


def cases() -> list[Case]:
    facts = json.loads((REFERENCE / "nets.json").read_text(encoding="utf-8"))
    return [
        Case(name, settings=tuple(each.pop("settings")), input=tuple(each.pop("input")), **each)
        for name, each in facts.items()
    ]


@cache
def plan_of(spec: str, settings: tuple[str, ...] = ()) -> Plan:
    """The plan without a look at the spec's budgets, which hold for its own settings."""
    return plan(expand(read_spec(spec, settings)))


def weights(wanted: Plan) -> dict[str, Array]:
    return {name: draw(name, spec.shape) for name, spec in wanted.variables.items()}


def draw(name: str, shape: tuple[int, ...]) -> Array:
    x = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape, dtype=np.float32)
    leaf = name.rpartition("/")[2]
    if leaf.endswith("weights"):
        return x * np.float32(math.sqrt(2 / math.prod(shape[:-1])))
    if leaf == "moving_variance":
        return 1 + np.float32(0.1) * np.abs(x)
    return 1 + np.float32(0.1) * x if leaf == "gamma" else np.float32(0.1) * x


def digest(shapes: Mapping[str, Sequence[int]]) -> str:
    lines = sorted(f"{name} {'x'.join(str(size) for size in shape)}" for name, shape in shapes.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def channels_last(array: Array) -> Array:
    return array.transpose(0, 2, 3, 1) if array.ndim == 4 else array


def distance(found: Array, fact: Mapping[str, Any]) -> float:
    """The largest difference at the eight indices, relative to the largest absolute value."""
    values = found.reshape(-1)[list(fact["at"])]
    return float(np.abs(values - np.array(fact["values"])).max() / fact["abs_max"])


def shared_facts(name: str) -> Mapping[str, Any]:
    """One of the JSON files that came with the project; the test is skipped where they are not at hand."""
    beside = Path(__file__).resolve().parents[3] / "shared"
    path = Path(os.environ.get("GRAPHC_SHARED", beside)) / "slim_reference" / f"{name}.json"
    if not path.exists():
        pytest.skip("needs shared/slim_reference: set GRAPHC_SHARED")
    facts: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return facts
