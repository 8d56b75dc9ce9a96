"""One process that works on a sweep: it takes a trial, trains it, tells how it did, and takes the next."""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from graphc.documented import flow
from graphc.errors import DivergedError, MachineError, Place, SpecError, counted
from graphc.files import shown
from graphc.graph import Plan
from graphc.passes.expectations import MEMORY, check_number, totals
from graphc.sweep.checks import ENDED, FOLDER, LONGEST, REASON, SURPLUS, VALUES
from graphc.sweep.folder import SweepFacts, SweepFolder
from graphc.sweep.settings import COSTS, Sweep, read_sweep
from graphc.sweep.study import (
    Watch,
    absolute,
    again,
    best_trials,
    counting,
    folder_of,
    lost,
    open_study,
    optuna,
    place_of,
    storage_errors,
    suggest,
)
from graphc.train.commands import resume, train
from graphc.train.progress import Reporter, Silent
from graphc.train.recipe import Recipe, dump_recipe, read_recipe
from graphc.train.run_folder import RunFolder
from graphc.train.task import spec_of, task_of
from graphc.train.trained import Options
from graphc.train.watching import Watcher, best_record, is_finite, watched

IN_USE = "G510"
"""The error of a run's folder that another process has the lock of."""
LOOK = 2.0
"""Seconds after which a worker that has nothing to do looks whether others' trials have ended."""
Say = Callable[[str], None]


class Hopeless(Exception):
    """A trial that is ended early."""


class Reports(Silent):
    """Tells the study how a trial does, epoch by epoch."""

    def __init__(self, trial: Any, objective: str, say: Say) -> None:
        self._trial, self._objective, self._say = trial, objective, say

    def epoch_done(self, record: Mapping[str, Any], seconds: float, examples: int) -> None:
        value = number(record.get(self._objective))
        if value is not None:
            self._trial.report(value, int(record["epoch"]))
            if self._trial.should_prune():
                raise Hopeless

    def warn(self, message: str) -> None:
        self._say(message)


def begin_sweep(path: Path | str, output: Path | str, storage: str | None) -> None:
    """Make a sweep's folder, with all trials that are planned; errors as of `read_sweep`, `read_recipe` and
    `open_study`. Nothing is left of one that could not be made."""
    sweep = read_sweep(path)
    recipe = (Path(path).parent / sweep.recipe).resolve()
    folder = SweepFolder(output)
    folder.require_new()
    found = first_variant(sweep, recipe)
    name = f"graphc: {folder.path.absolute().name}: {secrets.token_hex(8)}"
    objectives, storage = objectives_of(sweep, found), storage and absolute(storage)
    facts = SweepFacts(sweep, recipe, objectives, storage, name, digest_of_recipe(sweep, recipe))
    folder.make()
    open_study(folder, facts, new=True)
    folder.write(facts)


def first_variant(sweep: Sweep, recipe: Path) -> Recipe:
    """The recipe with the first value of everything, so that a wrong key is said before anything is trained."""
    values = {name: each.points[0] if each.points else (each.uniform or each.log_uniform or (0,))[0]
              for name, each in sweep.ranges.items()}  # fmt: skip
    overrides = trial_overrides(sweep, recipe, values)
    try:
        return read_recipe(recipe, overrides)
    except SpecError as error:
        error.notes = (*error.notes, f"a trial of the sweep sets {', '.join(overrides)}")
        raise


def digest_of_recipe(sweep: Sweep, recipe: Path) -> str:
    """SHA-256 of a recipe and all files of its spec, in hexadecimal."""
    texts = spec_of(first_variant(sweep, recipe), recipe.parent).texts
    told = json.dumps([dump_recipe(read_recipe(recipe)), dict(texts)], sort_keys=True)
    return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()


def trial_overrides(sweep: Sweep, recipe: Path, values: Mapping[str, Any]) -> list[str]:
    """`--set` of a trial; the recipe's model as a mapping, where variables of its spec are set."""
    found = sweep.overrides(values)
    of_model = [each for each in found if each.startswith("model.set.")]
    return [f"model.spec={read_recipe(recipe).model.spec}", *found] if of_model else found


def objectives_of(sweep: Sweep, recipe: Recipe) -> dict[str, str]:
    """What is to be largest or smallest: as the sweep says, or what the recipe monitors."""
    data = recipe.data
    prefix = "validation_" if data.validation is not None or data.validation_share is not None else ""
    watcher = Watcher(recipe, prefix)
    if not sweep.objectives:
        name = watched(recipe)
        return {prefix + name: "minimize" if name in watcher.lower else "maximize"}
    known = {f"{each}{name}" for name in watcher.names for each in {"", prefix}}
    for name in sweep.objectives:
        if name not in known and name not in COSTS:
            there = ", ".join([*sorted(known), *COSTS])
            message = f"objectives: expected a number of the run's log or a cost, found {name!r}; there are {there}"
            raise SpecError("G606", message, sweep.place_of("objectives", name))
    return dict(sweep.objectives)


class SweepWorker:
    """A worker of a sweep."""

    def __init__(self, path: Path | str, say: Say, options: Options) -> None:
        self.folder = SweepFolder(path)
        self.facts = self.folder.read()
        self.sweep = self.facts.sweep
        self.study = open_study(self.folder, self.facts, new=False)
        self._library = optuna()
        self._states = self._library.trial.TrialState
        self._say, self._options = say, options
        self._watch = Watch(self.study)

    def work(self) -> None:
        """Trials until all are done, those of workers that have died meanwhile too. A MachineError where the storage
        can no longer be used."""
        self._watch.start()
        try:
            with storage_errors(place_of(self.folder, self.facts)):
                while (trial := self._next()) is not None or not self._all_done():
                    if trial is not None:
                        self._run(trial)
                    else:
                        time.sleep(LOOK)
        finally:
            self._watch.stop()

    def summary(self) -> str:
        """How many trials there are, and how the best ones did. A MachineError where the storage cannot be read."""
        with storage_errors(place_of(self.folder, self.facts)):
            trials, best = counting(self.study.get_trials(deepcopy=False)), best_trials(self.study)
        done = sum(trial.state == self._states.COMPLETE for trial in trials)
        if not best:
            return f"{counted(len(trials), 'trial')}, none complete"
        results = zip(self.facts.objectives, best[0].values, strict=True)
        values = ", ".join(f"{key} {value:.4g}" for key, value in results)
        which = f"the best is {folder_of(best[0])} ({values})"
        front = f"{counted(len(best), 'trial')} on the front" if len(self.facts.objectives) > 1 else which
        return f"{counted(len(trials), 'trial')}, {done} complete; {front}"

    def _next(self) -> Any:
        """A trial that waits, or a new one; None where none is wanted now. A SpecError where recipe or spec have
        changed since the sweep began: its trials would no longer be comparable."""
        trials = self.study.get_trials(deepcopy=False)
        waiting = any(trial.state == self._states.WAITING for trial in trials)
        if not waiting and (self.sweep.sampler != "tpe" or len(counting(trials)) >= self.sweep.count):
            return None
        if digest_of_recipe(self.sweep, self.facts.recipe) != self.facts.digest:
            message = "the recipe or its spec is not as it was when the sweep began"
            raise SpecError("G528", message, Place(shown(self.facts.recipe)))
        trial = self.study.ask()
        if FOLDER not in trial.user_attrs and VALUES not in trial.user_attrs and not self._wanted(trial):
            trial.set_user_attr(ENDED, SURPLUS)
            self.study.tell(trial, state=self._states.FAIL)
            return None
        self._watch.begin(trial)
        return trial

    def _wanted(self, trial: Any) -> bool:
        """Whether a drawn trial is one of those that there are to be: another worker may have taken the last."""
        if self.sweep.sampler != "tpe":
            return False
        before = [each for each in counting(self.study.get_trials(deepcopy=False)) if each.number <= trial.number]
        return len(before) <= self.sweep.count

    def _all_done(self) -> bool:
        unfinished = (self._states.RUNNING, self._states.WAITING)
        trials = self.study.get_trials(deepcopy=False)
        if lost(trials) or any(trial.state in unfinished for trial in trials):
            return False
        return len(counting(trials)) >= self.sweep.count

    def _run(self, trial: Any) -> None:
        """Train a trial and tell how it did; what is wrong with this machine or the data ends the worker, and lets the
        trial wait for another."""
        values = suggest(trial, self.sweep)
        name = self._free_folder(trial)
        trial.set_user_attr(VALUES, values)
        trial.set_user_attr(FOLDER, name)
        said = ", ".join(f"{key}={shortly(value)}" for key, value in values.items())
        try:
            found = self._trained(trial, name, values)
        except Hopeless:
            self._tell(trial, None, self._states.PRUNED, f"trial {name} ({said}): ended early")
        except (DivergedError, SpecError) as error:
            how = "diverged" if isinstance(error, DivergedError) else "refused"
            trial.set_user_attr(ENDED, how)
            trial.set_user_attr(REASON, error.message[:LONGEST])
            self._tell(trial, None, self._states.FAIL, f"trial {name} ({said}): {how}: {error.message}")
        except BaseException:
            self._watch.end()
            with contextlib.suppress(Exception):  # then others will see that nobody works on it
                again(self.study, self.study.get_trials(deepcopy=False)[trial.number])
            raise
        else:
            results = ", ".join(f"{key} {value:.4g}" for key, value in found.items())
            self._tell(trial, list(found.values()), self._states.COMPLETE, f"trial {name} ({said}): {results}")

    def _free_folder(self, trial: Any) -> str:
        """The name of a trial's folder; another one where a worker that was stopped, and taken for dead, still has the
        lock of that."""
        name = folder_of(trial)
        self.folder.check_trial(name)
        if not self.folder.trial(name).exists():
            return name
        try:
            with RunFolder(self.folder.trial(name)).locked():
                return name
        except MachineError as error:
            if error.code != IN_USE:
                raise
            return f"{name}-{trial.number:05}"

    def _tell(self, trial: Any, values: list[float] | None, state: Any, said: str) -> None:
        self._watch.end()
        ended = self.study.tell(trial, values, state, skip_if_finished=True)
        self._say(
            said if ended.state == state else f"{said}; this worker was taken for dead, and another has the trial"
        )

    def _trained(self, trial: Any, name: str, values: Mapping[str, Any]) -> dict[str, float]:
        """The objectives of a trial by name, after its training."""
        overrides = trial_overrides(self.sweep, self.facts.recipe, values)
        recipe = read_recipe(self.facts.recipe, overrides)
        plan = self._checked(recipe)
        costs = costs_of(plan)
        path = self.folder.trial(name)
        logged = [each for each in self.facts.objectives if each not in COSTS]
        reporter: Reporter = (
            Reports(trial, logged[0], self._say) if len(self.facts.objectives) == 1 and logged else Silent()
        )
        if not (path / "run.json").is_file():
            train(self.facts.recipe, path, overrides, reporter, self._options)
        elif not (path / "best.onnx").is_file():  # of a worker that has died
            resume(path, reporter, self._options)
        records = [record for record in RunFolder(path).records() if "epoch" in record]
        best = best_record(recipe, records) or {}
        found: dict[str, float] = {}
        for objective in self.facts.objectives:
            value = number(costs[objective] if objective in COSTS else best.get(objective))
            if value is None:
                where = "of this network" if objective in COSTS else "in the best epoch"
                raise SpecError("G221", f"{objective} {where} is not a number")
            found[objective] = value
        return found

    def _checked(self, recipe: Recipe) -> Plan:
        """The plan of a variant that keeps to its budgets; else a SpecError, with the reason."""
        plan = task_of(recipe, self.facts.recipe.parent).plan
        costs = costs_of(plan)
        for name, bound in self.sweep.constraints.items():
            check_number(name, bound, costs[name], Place(shown(self.folder.facts)))
        return plan


def number(value: Any) -> float | None:
    """A value of a log, or a cost, as a float; None where it is none, or not finite."""
    return float(value) if is_finite(value) else None


def shortly(value: Any) -> str:
    """A trial's value for people."""
    return f"{value:.4g}" if isinstance(value, float) else flow(value)


def costs_of(plan: Plan) -> dict[str, float | None]:
    """What is known of a network by its plan: `COSTS`."""
    return {**totals(plan), **{name: cost(plan) for name, cost in MEMORY.items()}}
