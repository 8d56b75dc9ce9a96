"""Power cuts in a scenario: every disk that may be found, and what is wrong with what comes of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from graphc.errors import GraphcError
from graphc.train.checkpoint import NAME, Checkpoints
from tests.faults.cases import Stage, difference, tree_of
from tests.faults.power_cut import Change, Disk, History, digest, read_disk, write_disk


@dataclass(frozen=True)
class Crash:
    """A disk that may be found after so many steps of a command."""

    steps: int
    disk: Disk
    saved: int | None
    """The step of the last checkpoint that was safe by then."""
    finished: bool
    """Whether the command had ended."""


class Crashes:
    """Those of a scenario."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        assert stage.undisturbed
        stage.reset()
        before = read_disk(stage.folder)
        done = stage.start(stage.scenario.arguments, with_data=True)
        assert done.code == 0, done.words
        self.final = tree_of(stage.folder)
        self.history = History(done.calls, stage.folder, before)
        made = self.history.disk(step for step in self.history.steps if isinstance(step, Change))
        assert made == read_disk(stage.folder), "the calls that were seen make what is there"

    def __iter__(self) -> Iterator[Crash]:
        """Each disk once, with the earliest moment at which it may be found, and once more at the command's end."""
        seen = set()
        last = len(self.history.steps)
        for steps in range(last + 1):
            saved = self._saved(steps)
            for disk in self.history.disks(steps):
                key = (digest(disk), saved, steps == last)
                if key not in seen:
                    seen.add(key)
                    yield Crash(steps, disk, saved, steps == last)

    def _saved(self, steps: int) -> int | None:
        names = [PurePosixPath(change.target).name for change in self.history.changes(steps)[0] if change.target]
        found = [int(match[1]) for name in names if name.endswith(".json") and (match := NAME.fullmatch(name))]
        return max(found, default=None)

    def problems(self, crash: Crash) -> list[str]:
        """What is wrong with the disk, and with what the next start makes of it."""
        stage = self.stage
        shutil.rmtree(stage.folder)
        write_disk(stage.folder, crash.disk)
        problems = [*self._of_disk(crash)]
        found = {name: data for name, data in tree_of(stage.folder).items() if name in self.final}
        if crash.finished and (said := difference(found, self.final)):
            problems.append(f"the command had ended, and what it wrote is not safe: {said}")
        return problems or stage.of_next_start()

    def _of_disk(self, crash: Crash) -> Iterator[str]:
        stage = self.stage
        yield from stage.of_outputs(tree_of(stage.folder))
        yield from stage.of_external_data()
        folder = stage.folder / "run" / "checkpoints"
        if crash.saved is not None:
            try:
                found, _ = Checkpoints(folder).latest()
            except GraphcError as error:
                yield f"checkpoint {crash.saved} was safe, and now: {error}"
                return
            if found is None or found.facts["step"] < crash.saved:
                yield f"checkpoint {crash.saved} was safe, the last that is whole is {found and found.path}"
