"""What a run began with, as run.json keeps it, and in what a run that goes on differs from it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any

from graphc import __version__
from graphc.errors import Place, WeightsError, clipped, counted
from graphc.files import digest_of, shown
from graphc.train.datasets import Sets
from graphc.train.recipe import Recipe, dump_recipe
from graphc.train.run_folder import RunFolder

ACCEPT = "--accept-changes goes on with what is there now, and says so in the log"
SETS = {"train": "training", "validation": "validation"}
ABSENT = object()
MOST, LONGEST = 16, 300
"""Changes that are said, and characters of each."""
JUDGED = ("data", "metrics", "monitor", "loss", "heads")
"""Keys of a recipe that decide what the number means by which the best weights are chosen."""


def beginning(recipe: Recipe, base: Path, spec: Mapping[str, str], sets: Sets, folder: RunFolder) -> dict[str, Any]:
    """What decides the result of a run, besides its state; `spec`: text by file."""
    examples = {name: found for name, found in (("train", sets.train), ("validation", sets.validation)) if found}
    return {
        "graphc": __version__,
        "recipe": json.loads(dump_recipe(recipe)),
        "texts": dict(spec),
        "fitted": digest_of(folder.preprocess) if folder.preprocess.is_file() else None,
        "teacher": digest_of(base / recipe.teacher.path) if recipe.teacher is not None else None,
        "data": {
            name: {"examples": len(found), "fingerprint": found.fingerprint()} for name, found in examples.items()
        },
    }


class Changes(tuple[str, ...]):
    """A sentence for each thing that is not as it was; of many the first ones, and how many more there are."""

    found: int
    """How many there are."""
    of_targets: bool
    """Whether the number by which the best weights are chosen means something else now."""
    of_steps: bool
    """Whether an epoch that is under way cannot be gone on with."""

    def __new__(cls, before: Mapping[str, Any], now: Mapping[str, Any], epochs: int | None = None) -> Changes:
        """`epochs`: how many `--epochs` has asked for since."""
        if epochs is not None and now["recipe"]["epochs"] == epochs:
            before = {**before, "recipe": {**before["recipe"], "epochs": epochs}}
        said = list(_differences(before, now))
        first = [shown(each[:LONGEST]) for each in said[:MOST]]
        changes = super().__new__(cls, [*first, *([f"and {len(said) - MOST:,} more"] if len(said) > MOST else [])])
        changes.found = len(said)
        of_data, (old, new) = before["data"] != now["data"], (before["recipe"], now["recipe"])
        changes.of_targets = of_data or any(old.get(key) != new.get(key) for key in JUDGED)
        changes.of_steps = of_data or old != new
        return changes

    def refused(self, folder: RunFolder) -> WeightsError:
        message = f"expected the run as it began, found {counted(self.found, 'change')}"
        return WeightsError("G327", message, Place(shown(folder.path)), [*self, ACCEPT])


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    if before["graphc"] != now["graphc"]:
        yield f"version: graphc {before['graphc']}, now {now['graphc']}"
    yield from _of_values("recipe", before["recipe"], now["recipe"])
    for name, text in before["texts"].items():
        yield from _of_texts(name, text, now["texts"].get(name))
    if before["fitted"] != now["fitted"]:
        yield "preprocess.safetensors: what preprocessing has learned is not what it was"
    if before["teacher"] != now["teacher"]:
        yield "teacher: the file is not what it was"
    for name, words in SETS.items():
        old, new = before["data"].get(name), now["data"].get(name)
        if old != new:
            counts = [counted(each["examples"], "example") if each else "none" for each in (old, new)]
            yield f"data: the {words} set is not what it was: {counts[0]}, now {counts[1]}"


def _of_values(where: str, before: Any, now: Any) -> Iterator[str]:
    """Of two values of JSON, where they differ."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in [*before, *(key for key in now if key not in before)]:
            yield from _of_values(f"{where}.{key}", before.get(key, ABSENT), now.get(key, ABSENT))
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for index, (old, new) in enumerate(zip(before, now, strict=True)):
            yield from _of_values(f"{where}[{index}]", old, new)
    elif before is ABSENT or now is ABSENT or before != now or isinstance(before, bool) != isinstance(now, bool):
        old, new = ("nothing" if each is ABSENT else clipped(each) for each in (before, now))
        yield f"{where}: {old}, now {new}"


def _of_texts(name: str, before: str, now: str | None) -> Iterator[str]:
    """Of a file of the spec: the first line that differs."""
    if now is None:
        yield f"spec/{name}: the file is gone"
    elif before != now:
        old, new = before.splitlines(), now.splitlines()
        alike = takewhile(lambda pair: pair[0] == pair[1], zip(old, new, strict=False))
        at = sum(1 for _ in alike)
        lines = [clipped(each[at].strip()) if at < len(each) else "nothing" for each in (old, new)]
        yield f"spec/{name}:{at + 1}: {lines[0]}, now {lines[1]}"
