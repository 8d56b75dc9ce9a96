"""How far a training is, for the dashboard: between two lines of the log, above all before the first one."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from graphc.train.progress import SMOOTHING, Reporter


class Watched:
    """A reporter that passes everything on to another one, and keeps the last step."""

    def __init__(self, reporter: Reporter) -> None:
        self.reporter = reporter
        self.facts: dict[str, Any] | None = None
        """step, steps, epoch, loss (smoothed), and seconds that are left; None before the first step."""
        self._first, self._steps, self._began = 0, 0, time.monotonic()

    def begin(self, step: int, steps: int) -> None:
        self._first, self._steps, self._began = step, steps, time.monotonic()
        self.reporter.begin(step, steps)

    def stepped(self, step: int, epoch: int, loss: float, examples: int) -> None:
        before = loss if self.facts is None else self.facts["loss"]
        each = (time.monotonic() - self._began) / max(step - self._first, 1)
        self.facts = {
            "step": step,
            "steps": self._steps,
            "epoch": epoch,
            "loss": SMOOTHING * before + (1 - SMOOTHING) * loss,
            "left": round(each * (self._steps - step)),
        }
        self.reporter.stepped(step, epoch, loss, examples)

    def epoch_done(self, record: Mapping[str, Any], seconds: float, examples: int) -> None:
        self.reporter.epoch_done(record, seconds, examples)

    def say(self, message: str) -> None:
        self.reporter.say(message)

    def warn(self, message: str) -> None:
        self.reporter.warn(message)

    def end(self) -> None:
        self.reporter.end()
