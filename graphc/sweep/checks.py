"""What a sweep's storage says of its trials, looked at before it is used: its folder may be a stranger's."""

from __future__ import annotations

import contextlib
import math
import re
import sqlite3
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

from graphc.documented import flow
from graphc.errors import MachineError, Place, WeightsError, clipped
from graphc.files import open_regular, shown
from graphc.sweep.folder import SweepFacts
from graphc.sweep.settings import Sweep, params_of
from graphc.system import NotPlain, check_own

FOLDER_NAME = re.compile(r"\d{5,9}(-\d{5,9})*", re.ASCII)
"""Of a trial's run: its number, and those of trials that took its place."""
FIXED = "fixed_params"
"""Where Optuna keeps the numbers that a trial which waits is to have."""
ENDED, FOLDER, REASON, ALIVE, VALUES, AGAIN = "ended", "folder", "reason", "alive", "values", "again"
"""What is kept beside a trial: how it ended other than well, its folder's name, why, the number that grows, its values
by name, and the number of the trial whose place it takes."""
SURPLUS = "surplus"
"""How a trial ends of which there are enough."""
ENDS = ("diverged", "refused", SURPLUS)
COMPUTED = """
    SELECT name FROM sqlite_master WHERE type NOT IN ('table', 'index') OR NOT coalesce(rootpage, 0)
    UNION ALL
    SELECT t.name FROM sqlite_master AS t, pragma_table_xinfo(t.name) AS c WHERE t.type = 'table' AND c.hidden
"""
"""What of a database is worked out, or done, by what it says itself: views, triggers, virtual tables and tables with
generated columns, none of which Optuna makes."""
OF_SEVERAL = bytes.fromhex("d9d505f920a163d7")
"""The end of a journal that names another file, which goes with it."""
LONGEST, SHOWN = 100_000, 300
"""Characters of a reason, and those of it that tables show."""


def check_trials(study: Any, facts: SweepFacts, where: str) -> None:
    """A WeightsError where trials are none of this sweep's; `where`: the storage as messages call it."""
    directions = [each.name.lower() for each in study.directions]
    if directions != list(facts.objectives.values()):
        found = f"expected trials of {', '.join(facts.objectives.values())}, found {', '.join(directions)}"
        raise WeightsError("G323", found, Place(where))
    known = {name: set(map(flow, each.values)) for name, each in facts.sweep.ranges.items() if each.values is not None}
    for trial in study.get_trials(deepcopy=False):
        if said := _wrong(trial, facts, known):
            raise WeightsError("G323", f"trial {trial.number}: expected {said}, as graphc writes it", Place(where))


def check_database(url: str, study: str) -> None:
    """A MachineError where a SQLite database is not there, or has not this study: it is not made, nor changed, by who
    only reads a sweep's folder. A WeightsError where it is more than tables and indexes."""
    path = url.partition(":///")[2].partition("?")[0]
    if not url.startswith("sqlite"):
        return
    if not Path(path).is_file():
        raise MachineError("G527", f"the storage of the sweep, {shown(url)}, cannot be used: there is no such file")
    try:
        with contextlib.closing(_asked(Path(path).absolute())) as database:
            if computed := database.execute(COMPUTED).fetchone():
                message = f"expected tables and indexes alone, found {clipped(computed[0])}"
                raise WeightsError("G323", message, Place(shown(path)))
            found = database.execute("SELECT 1 FROM studies WHERE study_name = ?", (study,)).fetchone()
    except (sqlite3.Error, UnicodeError) as error:
        raise MachineError("G527", f"the storage of the sweep, {shown(url)}, cannot be used: {error}") from None
    if found is None:
        raise MachineError("G527", f"the storage of the sweep, {shown(url)}, has no trials of it")


def _asked(path: Path) -> sqlite3.Connection:
    """A SQLite database that can be read, and is not written: but what a killed worker has left half done is undone,
    as SQLite does for whoever writes next."""
    database = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    try:
        database.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        database.close()
        if error.sqlite_errorcode != sqlite3.SQLITE_READONLY_ROLLBACK:
            raise
        journal = Path(f"{path}-journal")
        try:
            check_own(journal)
        except NotPlain as problem:
            raise sqlite3.OperationalError(f"expected a journal, found {problem.found}") from None
        with open_regular(journal, WeightsError, "G323") as file:
            file.seek(max(journal.stat().st_size - len(OF_SEVERAL), 0))
            if file.read() == OF_SEVERAL:
                raise sqlite3.OperationalError("expected the journal of one database, found one of several") from None
        return sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True)
    return database


def _wrong(trial: Any, facts: SweepFacts, known: Mapping[str, Set[str]]) -> str:
    """What is expected of a trial that it is not, in words; else nothing. `known`: the values that settings have, where
    they are listed."""
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
    complete, planned = trial.state.name == "COMPLETE", facts.sweep.sampler != "tpe"
    if (VALUES in kept or complete or planned) and (said := _wrong_values(kept.get(VALUES), known, facts)):
        return said
    if trial.state.name == "WAITING" and (said := _wrong_plan(trial.system_attrs.get(FIXED), kept, facts.sweep)):
        return said
    results = trial.values
    if complete and (not results or len(results) != len(facts.objectives) or not all(map(is_finite, results))):
        return f"a finite number for each of {', '.join(facts.objectives)}, found {clipped(results)}"
    if not all(type(step) is int and _is_told(value) for step, value in trial.intermediate_values.items()):
        return "a number for each epoch"
    try:
        _ = trial.duration
    except (TypeError, AttributeError):
        return "times of its beginning and end"
    return ""


def _wrong_values(values: Any, known: Mapping[str, Set[str]], facts: SweepFacts) -> str:
    ranges = facts.sweep.ranges
    if not isinstance(values, dict) or values.keys() != ranges.keys():
        return f"a value for each of {', '.join(ranges)}, found {clipped(values)}"
    for name, each in ranges.items():
        value = values[name]
        if not (each.has(value) if name not in known else flow(value) in known[name]):
            return f"a value of {name}, found {clipped(value)}"
    return ""


def _wrong_plan(fixed: Any, kept: Mapping[str, Any], sweep: Sweep) -> str:
    """What is expected of the numbers that a trial which waits is to have, and that it has not."""
    if fixed is None and sweep.sampler == "tpe":
        return ""
    if VALUES in kept:
        expected = params_of(sweep, kept[VALUES])
        return "" if flow(fixed) == flow(expected) else f"to wait for {clipped(expected)}, found {clipped(fixed)}"
    fits = isinstance(fixed, dict) and fixed.keys() <= sweep.ranges.keys()
    if not fits or not all(sweep.ranges[name].has_number(value) for name, value in fixed.items()):
        return f"to wait for numbers of the sweep's ranges, found {clipped(fixed)}"
    return ""


def is_number(value: Any) -> bool:
    """Whether a value is a number, and not a truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_told(value: Any) -> bool:
    """Whether it is what a trial tells of an epoch: a number, which Optuna keeps NaN among."""
    return is_number(value) and (math.isnan(value) or is_finite(value))


def is_finite(value: Any) -> bool:
    """Whether a value is a number whose differences are numbers, too."""
    return is_number(value) and abs(value) < math.inf and abs(value) < 2**1000
