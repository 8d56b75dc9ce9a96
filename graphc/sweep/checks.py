"""What a sweep's storage says of its trials, looked at before it is used: its folder may be a stranger's."""

from __future__ import annotations

import contextlib
import math
import re
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from graphc.documented import flow
from graphc.errors import MachineError, Place, WeightsError, clipped
from graphc.files import shown
from graphc.sweep.folder import SweepFacts

FOLDER_NAME = re.compile(r"\d{5,9}(-\d{5,9})*", re.ASCII)
"""Of a trial's run: its number, and those of trials that took its place."""
ENDED, FOLDER, REASON, ALIVE, VALUES, AGAIN = "ended", "folder", "reason", "alive", "values", "again"
"""What is kept beside a trial: how it ended other than well, its folder's name, why, the number that grows, its values
by name, and the number of the trial whose place it takes."""
SURPLUS = "surplus"
"""How a trial ends of which there are enough."""
ENDS = ("diverged", "refused", SURPLUS)
LONGEST = 100_000
"""Characters of a reason."""


def check_trials(study: Any, facts: SweepFacts, where: str) -> None:
    """A WeightsError where trials are none of this sweep's; `where`: the storage as messages call it."""
    directions = [each.name.lower() for each in study.directions]
    if directions != list(facts.objectives.values()):
        found = f"expected trials of {', '.join(facts.objectives.values())}, found {', '.join(directions)}"
        raise WeightsError("G323", found, Place(where))
    for trial in study.get_trials(deepcopy=False):
        if said := _wrong(trial, facts):
            raise WeightsError("G323", f"trial {trial.number}: expected {said}, as graphc writes it", Place(where))


def check_database(url: str, study: str) -> None:
    """A MachineError where a SQLite database is not there, or has not this study: it is not made, nor changed, by who
    only reads a sweep's folder."""
    path = url.partition(":///")[2].partition("?")[0]
    if not url.startswith("sqlite"):
        return
    if not Path(path).is_file():
        raise MachineError("G527", f"the storage of the sweep, {shown(url)}, cannot be used: there is no such file")
    try:
        with contextlib.closing(sqlite3.connect(f"{Path(path).absolute().as_uri()}?mode=ro", uri=True)) as database:
            found = database.execute("SELECT 1 FROM studies WHERE study_name = ?", (study,)).fetchone()
    except (sqlite3.Error, UnicodeError) as error:
        raise MachineError("G527", f"the storage of the sweep, {shown(url)}, cannot be used: {error}") from None
    if found is None:
        raise MachineError("G527", f"the storage of the sweep, {shown(url)}, has no trials of it")


def _wrong(trial: Any, facts: SweepFacts) -> str:
    """What is expected of a trial that it is not, in words; else nothing."""
    kept: Mapping[str, Any] = trial.user_attrs
    folder, again = kept.get(FOLDER, "00000"), kept.get(AGAIN, 0)
    if not isinstance(folder, str) or not FOLDER_NAME.fullmatch(folder):
        return f"a folder such as 00007, found {clipped(folder)}"
    if type(again) is not int:
        return f"the number of another trial, found {clipped(again)}"
    if ENDED in kept and kept[ENDED] not in ENDS:
        return f"one of {', '.join(ENDS)}, found {clipped(kept[ENDED])}"
    if not isinstance(kept.get(REASON, ""), str) or len(kept.get(REASON, "")) > LONGEST:
        return "a reason in words"
    complete = trial.state.name == "COMPLETE"
    if (VALUES in kept or complete) and (said := _wrong_values(kept.get(VALUES), facts)):
        return said
    results = trial.values
    if complete and (not results or len(results) != len(facts.objectives) or not all(map(_is_finite, results))):
        return f"a finite number for each of {', '.join(facts.objectives)}, found {clipped(results)}"
    if not all(type(step) is int and is_number(value) for step, value in trial.intermediate_values.items()):
        return "a number for each epoch"
    try:
        _ = trial.duration
    except (TypeError, AttributeError):
        return "times of its beginning and end"
    return ""


def _wrong_values(values: Any, facts: SweepFacts) -> str:
    ranges = facts.sweep.ranges
    if not isinstance(values, dict) or values.keys() != ranges.keys():
        return f"a value for each of {', '.join(ranges)}, found {clipped(values)}"
    for name, each in ranges.items():
        value = values[name]
        known = map(flow, each.values) if each.values is not None else None
        if not (_is_finite(value) if known is None else flow(value) in known):
            return f"a value of {name}, found {clipped(value)}"
    return ""


def is_number(value: Any) -> bool:
    """Whether a value is a number, and not a truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_finite(value: Any) -> bool:
    return is_number(value) and abs(value) < math.inf and abs(value) < 2**1000
