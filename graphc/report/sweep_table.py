"""`graphc sweep --show`: the trials of a sweep in one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.markup import escape

from graphc.documented import flow
from graphc.errors import counted
from graphc.report.tables import Look, render
from graphc.sweep.checks import ENDED, REASON, SHOWN, VALUES
from graphc.sweep.folder import SweepFacts
from graphc.sweep.study import best_trials, counting, folder_of


@dataclass(frozen=True, slots=True)
class TrialRow:
    """What is known of a trial."""

    name: str
    """Of its folder."""
    state: str
    values: Mapping[str, Any]
    """What varies, by name."""
    objectives: Sequence[float] | None
    """Those of a complete trial."""
    best: bool
    """Whether no other trial is better in every objective."""
    seconds: float | None
    curve: Sequence[tuple[int, float]] = field(default=())
    """(epoch, the only objective) as far as it was told."""
    reason: str = ""


def rows_of(facts: SweepFacts, study: Any) -> list[TrialRow]:
    """The trials that count, in the order of their folders."""
    best = {trial.number for trial in best_trials(study)}
    rows = []
    for trial in sorted(counting(study.get_trials(deepcopy=False)), key=folder_of):
        state = trial.user_attrs.get(ENDED) or trial.state.name.lower()
        duration = trial.duration.total_seconds() if trial.duration is not None else None
        rows.append(
            TrialRow(
                folder_of(trial),
                state,
                trial.user_attrs.get(VALUES, {}),
                trial.values,
                trial.number in best,
                duration,
                sorted(trial.intermediate_values.items()),
                trial.user_attrs.get(REASON, ""),
            )
        )
    return rows


def show_sweep(facts: SweepFacts, study: Any, form: str) -> str:
    """`form` as of `render`; the best trial, or those of the front, are marked, and stand first."""
    rows = rows_of(facts, study)
    names, objectives = list(facts.sweep.ranges), list(facts.objectives)
    columns = ("trial", "state", "best", *objectives, *names, "seconds")
    ordered = sorted(rows, key=lambda row: (not row.best, row.objectives is None, _order(facts, row)))
    cells = [
        [
            row.name,
            row.state,
            "*" if row.best else "",
            *(row.objectives if row.objectives is not None else [None] * len(objectives)),
            *(_cell(row.values.get(name)) for name in names),
            row.seconds,
        ]
        for row in ordered
    ]
    done = sum(row.objectives is not None for row in rows)
    notes = [f"{done} of {counted(facts.sweep.count, 'trial')} complete"]
    notes += [escape(f"{row.name}: {row.state}: {row.reason[:SHOWN]}") for row in ordered if row.reason]
    return render(columns, cells, form, look=Look(notes=notes, spare=("seconds", "state")))


def _order(facts: SweepFacts, row: TrialRow) -> list[float]:
    """The better the smaller."""
    signs = [-1 if each == "maximize" else 1 for each in facts.objectives.values()]
    return [sign * value for sign, value in zip(signs, row.objectives or (), strict=False)]


def _cell(value: Any) -> Any:
    return value if value is None or isinstance(value, (int, float, str)) else flow(value)
