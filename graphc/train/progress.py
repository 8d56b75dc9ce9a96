"""What a person sees while training runs: a live bar on a terminal, else one line an epoch. All on stderr."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from graphc.files import printable

WIDE = 110
"""Columns of a terminal on which a line has room for all; below, steps and speed are left out."""
SMOOTHING = 0.95
"""Share of the last loss that is kept in the one that is shown."""


class Reporter(Protocol):
    """Hears of everything; training neither knows nor waits for what it does with it."""

    def begin(self, step: int, steps: int) -> None:
        """Training starts, or goes on, after `step` of `steps` steps."""

    def stepped(self, step: int, epoch: int, loss: float, examples: int) -> None:
        """A step is done, in epoch number `epoch`."""

    def epoch_done(self, record: Mapping[str, Any], seconds: float, examples: int) -> None:
        """A line has been added to the log."""

    def say(self, message: str) -> None:
        """Something that a person may want to read."""

    def warn(self, message: str) -> None:
        """Something that a person has to read: it may change the result."""

    def end(self) -> None:
        """Training is over."""


class Silent:
    """Says nothing."""

    def begin(self, step: int, steps: int) -> None: ...
    def stepped(self, step: int, epoch: int, loss: float, examples: int) -> None: ...
    def epoch_done(self, record: Mapping[str, Any], seconds: float, examples: int) -> None: ...
    def say(self, message: str) -> None: ...
    def warn(self, message: str) -> None:
        self.say(message)

    def end(self) -> None: ...


class Quiet(Silent):
    """Warnings only."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def warn(self, message: str) -> None:
        self._print(message)

    def _print(self, message: str) -> None:
        with suppress(OSError):  # a terminal that was closed, a full disk: training goes on
            self.console.print(printable(message), markup=False, highlight=False, soft_wrap=True)


class Lines(Quiet):
    """One line an epoch."""

    def epoch_done(self, record: Mapping[str, Any], seconds: float, examples: int) -> None:
        self.say(f"{describe(record)}  {examples / max(seconds, 1e-9):,.0f} images/s  {seconds:.1f} s")

    def say(self, message: str) -> None:
        self._print(message)


class Bar(Lines):
    """A live bar: loss, images a second, time left; above it a line an epoch."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        wide = console.width >= WIDE
        speed = "  {task.fields[speed]} images/s " if wide else ""
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(40 if wide else 10),
            *([MofNCompleteColumn()] if wide else []),
            TextColumn(f"loss {{task.fields[loss]}}{speed}"),
            TimeRemainingColumn(compact=not wide),
            console=console,
        )
        self._task: TaskID | None = None
        self._loss: float | None = None
        self._metric = ""
        self._since, self._examples = time.perf_counter(), 0

    def begin(self, step: int, steps: int) -> None:
        self._task = self._progress.add_task("epoch 1", total=steps, completed=step, loss="", speed="")
        with suppress(OSError):
            self._progress.start()

    def stepped(self, step: int, epoch: int, loss: float, examples: int) -> None:
        assert self._task is not None
        self._loss = loss if self._loss is None else SMOOTHING * self._loss + (1 - SMOOTHING) * loss
        self._examples += examples
        elapsed = max(time.perf_counter() - self._since, 1e-9)
        description = f"epoch {epoch}{self._metric}"
        speed = f"{self._examples / elapsed:,.0f}"
        loss_text = f"{self._loss:.4f}"
        with suppress(OSError):
            self._progress.update(self._task, completed=step, description=description, loss=loss_text, speed=speed)

    def epoch_done(self, record: Mapping[str, Any], seconds: float, examples: int) -> None:
        super().epoch_done(record, seconds, examples)
        shown = [f"{name} {value:.4f}" for name, value in record.items() if name.startswith("validation_")
                 and isinstance(value, float) and name != "validation_loss"]  # fmt: skip
        self._metric = f" · {shown[0]}" if shown else ""
        self._since, self._examples = time.perf_counter(), 0

    def end(self) -> None:
        with suppress(OSError):
            self._progress.stop()


def reporter(quiet: bool = False) -> Reporter:
    """A bar where stderr is a terminal, lines where it is not; `quiet`: warnings only."""
    console = Console(stderr=True)
    if quiet:
        return Quiet(console)
    return Bar(console) if console.is_terminal else Lines(console)


def describe(record: Mapping[str, Any]) -> str:
    """A line of the log for people: numbers that are numbers, names that are short."""
    numbers = [
        f"{name.replace('validation_', 'val ')} {value:.4f}"
        for name, value in record.items()
        if isinstance(value, float) and name not in ("learning_rate", "gradient_norm")
    ]
    return f"epoch {record['epoch']:>3}  " + "  ".join(numbers)
