"""The training loop: epochs of steps, validation, the log, checkpoints, signals.

Everything that decides the next number is in the recipe, the data or the `TrainState`; a checkpoint holds the
state whole. So a run that is killed and resumed ends with the bytes of one that never was.
"""

from __future__ import annotations

import shlex
import signal
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from graphc import weights
from graphc.data.batch import Batch
from graphc.data.batches import Batches
from graphc.errors import DivergedError, clipped, counted
from graphc.files import digest_of
from graphc.parallel.blas import single_threaded_blas
from graphc.parallel.world import LOCAL_WORLD, World, from_first
from graphc.train.batching import rows_of_epoch
from graphc.train.checkpoint import CheckpointKey, Checkpoints
from graphc.train.diagnosis import first_bad_array
from graphc.train.engine import Engine, StepResult
from graphc.train.interruption import Abandoned, Interrupted, Interruption
from graphc.train.progress import Reporter
from graphc.train.run_folder import RunFolder
from graphc.train.schedules import learning_rate
from graphc.train.state import Totals, TrainState
from graphc.train.step_counts import StepCounts
from graphc.train.sums import TERMS, Sums
from graphc.train.tensorboard import Events, require
from graphc.train.watching import Watcher
from graphc.train.young_statistics import lag_warning
from graphc.types import Array

SUMS = "epoch"
"""Totals of the epoch besides those of losses and metrics."""


class Trainer:
    """One run in its folder."""

    def __init__(
        self,
        engine: Engine,
        state: TrainState,
        train: Batches,
        validation: Batches | None,
        folder: RunFolder,
        reporter: Reporter,
        settings: dict[str, Any],
        world: World = LOCAL_WORLD,
    ) -> None:
        """`settings`: what fixes the bits besides the state, kept in each checkpoint; `world`: the processes that
        train together, of which the first one hears signals."""
        self.engine, self.state = engine, state
        self.task, self.recipe = engine.task, engine.task.recipe
        self.train, self.validation = train, validation
        self.folder, self.reporter, self.settings = folder, reporter, settings
        self.world = world
        self.length = StepCounts.of(self.recipe, len(train.examples))
        self.watcher = Watcher(self.recipe, "validation_" if validation is not None else "")
        self.checkpoints = Checkpoints(folder.checkpoints)
        self.interruption = Interruption()
        self.events: Events | None = None
        if self.recipe.tensorboard:
            require()
        self._saved_at: tuple[int, int] | None = None
        self._warned = False
        self._waited = 0.0
        """Seconds of this epoch in which there was no batch."""

    def fit(self) -> None:
        """Train to the end; afterwards the state is the last step's, and the best weights are in the folder."""
        self.reporter.begin(self.state.step, self.length.steps)
        self._saved_at = (self.state.step, self.state.epoch)
        if self.recipe.tensorboard and self.folder.written:
            self.events = Events(self.folder.path / "tensorboard", self.state.step)
        try:
            with self.interruption.watching(), single_threaded_blas, warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # overflows are found by their results
                while not self._finished():
                    self._epoch()
        except DivergedError as error:
            error.notes = (*error.notes, f"the last checkpoint, after step {self._saved_at[0]}, is kept")
            raise
        finally:
            self.reporter.end()
            self.engine.close()
            for batches in filter(None, (self.train, self.validation)):
                batches.close()
            if self.events is not None:
                self.events.close()

    def check_numbers(self) -> None:
        """A ValueError where the state, which a file has given, cannot be trained on: numbers that are not finite,
        squares below 0, or a watched number that there is not."""
        state, names = self.state, ("", *self.watcher.names)
        if (name := first_bad_array(state.arrays(self.recipe.optimizer))) is not None:
            raise ValueError(f"{name} is not finite")
        if (name := state.negative_square(self.recipe.optimizer)) is not None:
            raise ValueError(f"{name} has negative numbers, which are squares")
        if state.tracker.name not in names:
            raise ValueError(
                f"expected one of {', '.join(names[1:])} to be watched, found {clipped(state.tracker.name)}"
            )

    def check(self) -> None:
        """A ValueError where the state, which a file has given, is of another training, or of other data."""
        state = self.state
        if min(state.step, state.epoch, state.position) < 0 or state.position > self.length.epoch_steps:
            found = f"step {state.step}, epoch {state.epoch}, position {state.position}"
            raise ValueError(f"expected a step of this training, found {found}")
        done = state.epoch * self.length.epoch_steps + state.position
        if self.recipe.epochs is not None and state.step != done:
            found = f"step {state.step}, epoch {state.epoch}, position {state.position}"
            raise ValueError(f"expected step {done} after these epochs, found {found}")
        if state.totals and _forms(state.totals) != _forms(self._new_totals()):
            raise ValueError("expected the totals of these losses and metrics, found others")
        if not state.position:  # an epoch that begins has its own order and totals
            return
        rows, order = len(self.train.examples), state.order
        if order.shape != (self.length.rows,) or order.dtype != np.int64 or order.min() < 0 or order.max() >= rows:
            raise ValueError(f"expected the order of {rows:,} rows, found another")
        if not self.recipe.data.balanced and np.unique(order).size < order.size:
            raise ValueError("expected an order in which no row is twice, found another")
        if not state.totals or _has_counts_below_0(state.totals):
            raise ValueError("expected the totals of these losses and metrics, found others")
        sums = state.totals[SUMS]
        if sums["steps"] != state.position or not state.position <= sums["examples"] <= self.length.rows:
            raise ValueError(
                f"expected the totals of {counted(state.position, 'step')}, found those of {sums['steps']}"
            )

    @property
    def best_params(self) -> dict[str, Array]:
        """The variables that are judged, each in its own shape: the moving average, where there is one."""
        return self.state.average or self.state.params

    def _epoch(self) -> None:
        state = self.state
        if thawed := self.engine.begin_epoch(state.epoch, self.length.epoch_steps):
            self.reporter.say(f"epoch {state.epoch + 1}: {thawed} variables are frozen no longer")
        self.engine.start()  # before the thread that makes batches
        if not state.position:
            state.order = rows_of_epoch(self.recipe, state.epoch, self.train.examples)[: self.length.rows]
            state.totals = self._new_totals()
        started, self._waited = time.perf_counter(), 0.0
        examples = 0
        rows = self.train.batch_rows(state.order, state.position * self.recipe.accumulate)
        with self.train.ahead(rows, state.epoch) as made:
            while state.position < self.length.epoch_steps and state.step < self.length.steps:
                examples += self._step(made)
        self._finish_epoch(started, examples)

    def _step(self, made: Iterator[Batch]) -> int:
        """One step, and what follows it; how many examples it had."""
        state = self.state
        rate = self._rate()
        with self._ending_when_asked(), self.interruption.computing():
            computed = self.engine.compute(state, self._step_batches(made), rate)
        computed.commit()
        state.position += 1
        self._count(computed)
        self.reporter.stepped(state.step, state.epoch + 1, computed.loss, computed.examples)
        self._log_step(computed, rate)
        if self._due(self.recipe.checkpoint_steps):
            self.save()
        if self._asked():
            self._end_asked()
        return computed.examples

    def _asked(self) -> bool:
        """Whether someone asked the first rank to stop; all ranks ask in the same places."""
        asked: bool = from_first(self.world, self.interruption.signal is not None)
        return asked

    def _step_batches(self, made: Iterator[Batch]) -> Iterator[Batch]:
        """The batches of one step: as many as are accumulated, fewer at the end of an epoch."""
        left = min(self.length.step_rows, self.length.rows - self.state.position * self.length.step_rows)
        for _ in range(-(-left // self.recipe.batch)):
            asked = time.perf_counter()
            batch = next(made)
            self._waited += time.perf_counter() - asked
            yield batch

    @contextmanager
    def _ending_when_asked(self) -> Iterator[None]:
        try:
            yield
        except Abandoned:
            self._end_asked()

    def _end_asked(self) -> None:
        self.save()
        message = (
            f"stopped after step {self.state.step}, saved; `graphc resume {shlex.quote(str(self.folder.path))}` goes on"
        )
        raise Interrupted(self.interruption.signal or signal.SIGINT, message)

    def _rate(self) -> float:
        recipe, length = self.recipe, self.length
        rate = learning_rate(
            recipe.learning_rate,
            recipe.schedule,
            recipe.warm_up,
            self.state.step,
            length.steps,
            length.epoch_steps,
        )
        return rate * self.state.plateau.factor

    # totals and log ----------------------------------------------------------------------------------------

    def _new_totals(self) -> dict[str, dict[str, Array]]:
        names = ("penalty", "gradient_norm", "steps", "examples")
        return {SUMS: {name: np.zeros((), np.float64) for name in names}, **Sums(self.task.heads).totals}

    def _count(self, computed: StepResult) -> None:
        sums = self.state.totals[SUMS]
        sums["steps"] += 1
        sums["examples"] += computed.examples
        sums["penalty"] += computed.penalty * computed.examples
        sums["gradient_norm"] += computed.gradient_norm
        epoch = Sums(self.task.heads, self.state.totals)
        epoch.losses.add_step(computed.losses)
        for judged in computed.judged:
            epoch.add_judged(judged)

    def _log_step(self, computed: StepResult, rate: float) -> None:
        if self._due(self.recipe.log_steps):
            record = {"step": self.state.step, "loss": computed.loss, "learning_rate": rate}
            self._log({**record, "gradient_norm": computed.gradient_norm})

    def _log(self, record: dict[str, Any]) -> None:
        self.folder.append_log(record)
        if self.events is not None:
            self.events.add(record)

    def _due(self, every: int | None) -> bool:
        return every is not None and self.state.step % every == 0

    def _training_record(self) -> dict[str, Any]:
        sums = {name: float(value) for name, value in self.state.totals[SUMS].items()}
        epoch = Sums(self.task.heads, self.state.totals)
        loss = epoch.losses.loss() + sums["penalty"] / sums["examples"]
        losses = {"loss": loss, **epoch.losses.by_head(), **epoch.metrics()}
        return {**losses, "gradient_norm": sums["gradient_norm"] / sums["steps"]}

    # the end of an epoch -------------------------------------------------------------------------------------

    def _finish_epoch(self, started: float, examples: int) -> None:
        state = self.state
        self.engine.collect(state)
        record = {"epoch": state.epoch + 1, "step": state.step, "learning_rate": self._rate()}
        record |= self._training_record()
        seconds = time.perf_counter() - started
        last = state.step >= self.length.steps
        judged = self.validation is None or last or (state.epoch + 1) % self.recipe.validate_every == 0
        if judged:
            record |= self._validate()
        state.epoch, state.position = state.epoch + 1, 0
        if judged:
            self._watch(record)
            self._warn_of_lag(record)
        self._log(record)
        self.folder.append_timing(
            {"epoch": state.epoch, "seconds": seconds, "waited": self._waited, "examples": examples}
        )
        self.reporter.epoch_done(record, seconds, examples)
        self.save()
        if self._asked() and not self._finished():
            self._end_asked()

    def _validate(self) -> dict[str, Any]:
        if self.validation is None:
            return {}
        with self._ending_when_asked(), self.interruption.computing():
            found = self.engine.evaluate(self.best_params, self.validation)
        return {f"validation_{name}": value for name, value in found.items()}

    def _watch(self, record: dict[str, Any]) -> None:
        """Compare the watched number with its best; keep the weights where it is better."""
        if said := self.watcher.choose(record, self.state.tracker):
            self.reporter.warn(f"warning[G621]: {said}")
        if self.watcher.judge(record, self.state):
            self._require_finite()
            if self.folder.written:
                weights.save(self.folder.best, self.best_params)
                self.state.tracker.sha256 = digest_of(self.folder.best)

    def _warn_of_lag(self, record: dict[str, Any]) -> None:
        """In the log each time, to people once."""
        batches = self.state.step * self.recipe.accumulate
        warning = lag_warning(self.engine.graph.nodes, record, batches)
        if warning is None:
            return
        record["warning"] = warning
        if not self._warned:
            self.reporter.warn(f"warning[G622]: {warning}")
        self._warned = True

    def _finished(self) -> bool:
        """No epoch is under way, and no other is wanted."""
        stop = self.recipe.early_stopping
        waited = stop is not None and self.state.tracker.waited >= stop.patience
        return not self.state.position and (waited or self.state.step >= self.length.steps)

    # checkpoints ---------------------------------------------------------------------------------------------

    def save(self) -> None:
        """A checkpoint of the state as it is; nothing where this step's is there already, or another rank writes it."""
        if not self.folder.written or self._saved_at == (self.state.step, self.state.epoch):
            return
        self.engine.collect(self.state)
        self._require_finite()
        arrays = self.state.arrays(self.recipe.optimizer)
        facts = {**self.state.facts(), "log_bytes": self.folder.log_size(), "settings": self.settings}
        self.checkpoints.save(CheckpointKey(self.state.step, self.state.epoch), arrays, facts)
        self._saved_at = (self.state.step, self.state.epoch)

    def _require_finite(self) -> None:
        name = first_bad_array(self.state.arrays(self.recipe.optimizer))
        if name is not None:
            raise DivergedError("G620", f"step {self.state.step}: {name} is not finite")


def _has_counts_below_0(totals: Totals) -> bool:
    counts = [each for sums in totals.values() for each in sums.values() if each.dtype == np.int64]
    return any((each < 0).any() for each in (*counts, totals[TERMS]["counts"]))


def _forms(totals: Totals) -> dict[str, dict[str, Any]]:
    """Shape and type of every array."""
    return {one: {key: (each.shape, each.dtype) for key, each in sums.items()} for one, sums in totals.items()}
