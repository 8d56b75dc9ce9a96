"""The folder of a sweep.

sweep.json   what the sweep is: its settings, where its recipe lies, its storage
journal.log  Optuna's journal of trials, which any number of workers write, unless the storage is a database
trials/      a run's folder each
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphc.errors import MachineError, Place, SpecError, WeightsError
from graphc.files import atomic_write, machine_error, make_folder, read_limited, remove, remove_leftovers, shown
from graphc.settings import validate
from graphc.spec.source import SpecMap, load_text
from graphc.sweep.settings import Sweep, is_short_name
from graphc.train.run_folder import refuse_link
from graphc.valid_json import lacking, loads

LARGEST = 64_000_000
MOST_OBJECTIVES = 20
WAYS = {"maximize", "minimize"}
FACTS = {"sweep": dict, "recipe": str, "objectives": dict, "study": str, "digest": str}
MORE_FACTS = {"storage": str}
JOURNAL = re.compile(r"journal\.log(\.lock([-0-9a-f]{36}\.rename)?)?")
"""The journal and its lock, which is renamed before it is removed."""


@dataclass(frozen=True, slots=True)
class SweepFacts:
    """What sweep.json says."""

    sweep: Sweep
    recipe: Path
    """Where the recipe lies."""
    objectives: Mapping[str, str]
    """By name: `maximize` or `minimize`."""
    storage: str | None
    """The URL of a database; None: the journal in the folder."""
    study: str
    """The name of its trials in the storage, which no other sweep has."""
    digest: str
    """Of recipe and spec, which stay as they are while trials are compared."""


class SweepFolder:
    """Paths and files of one sweep."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.facts = self.path / "sweep.json"
        self.journal = self.path / "journal.log"
        self.trials = self.path / "trials"

    def trial(self, name: str) -> Path:
        """The folder of a trial's run."""
        return self.trials / name

    def require_new(self) -> None:
        """A MachineError where the folder holds something; what a start that was killed has left is removed."""
        try:
            there = self._names()
            if "trials" in there and "sweep.json" not in there and not list(self.trials.iterdir()):
                remove_leftovers(self.path, lambda name: name == "sweep.json")
                there = self._names()
                if all(name == "trials" or JOURNAL.fullmatch(name) for name in there):
                    for name in there:
                        if name != "trials":
                            remove(self.path / name)
                    return
        except OSError as error:
            raise machine_error("read", self.path, error) from None
        if "sweep.json" in there:
            message = f"{shown(self.path)} holds a sweep already: `graphc sweep --join` works on it"
            raise MachineError("G511", message)
        if there:
            found = ", ".join(map(shown, there[:3]))
            raise MachineError("G511", f"expected a new or empty folder, {shown(self.path)} holds {found}")

    def _names(self) -> list[str]:
        return sorted(path.name for path in self.path.iterdir()) if self.path.exists() else []

    def make(self) -> None:
        """The folder, empty; an OSError is a MachineError."""
        try:
            make_folder(self.path)
            make_folder(self.trials)
        except OSError as error:
            raise machine_error("write in", self.path, error) from None

    def check_trial(self, name: str) -> None:
        """A WeightsError where a trial's folder lies elsewhere."""
        refuse_link(self.trial(name), "sweep")

    def write(self, facts: SweepFacts) -> None:
        """Write sweep.json: now the folder is a sweep's."""
        content = {
            "sweep": facts.sweep.model_dump(mode="json", exclude_none=True),
            "recipe": str(facts.recipe),
            "objectives": dict(facts.objectives),
            "study": facts.study,
            "digest": facts.digest,
            **({} if facts.storage is None else {"storage": facts.storage}),
        }
        atomic_write(self.facts, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())

    def read(self) -> SweepFacts:
        """What sweep.json says; a WeightsError where this is no sweep's folder, or it is not as graphc wrote it."""
        if not self.facts.is_file():
            message = "expected the folder of a sweep, found no sweep.json in it"
            raise WeightsError("G323", message, Place(shown(self.path)))
        for path in (self.facts, self.journal, self.trials):
            refuse_link(path, "sweep")
        try:
            facts: Any = loads(read_limited(self.facts, LARGEST, WeightsError, "G323"))
            said = lacking(facts, FACTS, MORE_FACTS)
            if not said and not _are_objectives(facts["objectives"]):
                said = f"expected objectives, each with {' or '.join(sorted(WAYS))}"
            if said:
                raise ValueError(said)
            tree = load_text(json.dumps(facts["sweep"]), shown(self.facts), number_keys=True)
            assert isinstance(tree, SpecMap)
            sweep = validate(Sweep, tree, lambda keys, of_key: Place(shown(self.facts)))
            recipe, storage = Path(facts["recipe"]), facts.get("storage")
            return SweepFacts(sweep, recipe, facts["objectives"], storage, facts["study"], facts["digest"])
        except (ValueError, SpecError) as error:
            said = f"the file is not as graphc wrote it: {error}"
            raise WeightsError("G323", said, Place(shown(self.facts))) from None


def _are_objectives(found: dict[str, Any]) -> bool:
    names_fit = 0 < len(found) <= MOST_OBJECTIVES and all(map(is_short_name, found))
    return names_fit and WAYS.issuperset(map(str, found.values()))


def is_sweep(path: str) -> bool:
    """Whether this is the folder of a sweep."""
    return SweepFolder(path).facts.is_file()
