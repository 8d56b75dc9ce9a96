"""One case after the other: a scenario, a call in it, what becomes of that call, and what is wrong with the outcome."""

from __future__ import annotations

import errno
import shutil
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from graphc.errors import WeightsError
from graphc.files import TEMPORARY
from graphc.train.checkpoint import KEPT, Checkpoints
from tests.faults.calls import ERRORS, KILLS, Action, Call, Fault, faults_of
from tests.faults.scenarios import Arguments, Scenario
from tests.faults.server import Request, Result, Server

UNDISTURBED = Fault()
DEATHS = -signal.SIGABRT, -signal.SIGSEGV, 127
"""How libraries in Rust and C++ (pydantic, protobuf), and the C library itself where it loads another, end a process
that has no memory for something small."""
Tree = Mapping[str, bytes]
VARY = "*/lock", "*/timing.jsonl", "swept/journal.log*", "swept/sweep.json"
"""Files that differ from run to run: times, processes, and a sweep's name, which no other has."""
CHECKPOINTS = "checkpoints"
QUIET, SOON = 600.0, 0.05
"""Seconds between two signs of life of a sweep's worker: so many that its calls are always the same ones; and so few
that those who come next notice at once that it has died."""


@dataclass(frozen=True)
class Outcome:
    """What came of a case."""

    fault: Fault
    hit: Call | None
    code: int
    problems: list[str]

    def __str__(self) -> str:
        where = "nothing was hit" if self.hit is None else f"{self.hit.kind} {self.hit.path}"
        return f"call {self.fault.at} of process {self.fault.process}, {where}, {self.fault}: exit {self.code}"


def tree_of(folder: Path) -> Tree:
    """Every file's bytes by its path, and folders; of checkpoints the last: others are where a run was stopped."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        found[name if path.is_file() else f"{name}/"] = path.read_bytes() if path.is_file() else b""
    older = set()
    for place in {Path(name).parent for name in found if Path(name).parent.name == CHECKPOINTS}:
        saved = [name for name in found if Path(name).parent == place]
        older |= {name for name in saved if Path(name).stem != Path(saved[-1]).stem}
        if len(saved) > 2 * KEPT:
            found["more checkpoints than are kept"] = b""
    kept = {name: data for name, data in found.items() if name not in older}
    return {name: data for name, data in kept.items() if not any(map(Path(name).match, VARY))}


def difference(found: Tree, expected: Tree) -> str:
    """In words; empty where there is none."""
    missing, more = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    other = sorted(name for name in found.keys() & expected.keys() if found[name] != expected[name])
    parts = {"missing": missing, "not expected": more, "with other bytes": other}
    return "; ".join(f"{what}: {', '.join(names)}" for what, names in parts.items() if names)


class Stage:
    """A scenario in a folder, always the same one: a run's folder holds absolute paths."""

    def __init__(self, server: Server, scenario: Scenario, place: Path) -> None:
        self.server, self.scenario = server, scenario
        self.folder, self._template, self._notes = place / "here", place / "template", place / "notes"
        shutil.rmtree(place, ignore_errors=True)
        self.folder.mkdir(parents=True)
        scenario.make(self.folder)
        for arguments, fault in scenario.before:
            done = self.start(arguments, fault)
            assert done.code == (-9 if fault.at else 0), done.words
        self.folder.rename(self._template)
        self.reset()
        self.old = tree_of(self.folder)

    def reset(self) -> None:
        """The folder as it is before."""
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self._template, self.folder)

    def start(
        self,
        arguments: Arguments,
        fault: Fault = UNDISTURBED,
        *,
        with_data: bool = False,
        address_space: int = 0,
        beat: float = QUIET,
    ) -> Result:
        request = Request(
            str(self.folder),
            list(arguments),
            str(self._notes),
            fault,
            with_data,
            largest=self.scenario.largest,
            address_space=address_space,
            beat=beat,
        )
        return self.server.run(request)

    @cached_property
    def undisturbed(self) -> tuple[Result, Tree]:
        """What comes of it where nothing goes wrong, the second time: the first loads libraries."""
        for _ in range(2):
            self.reset()
            result = self.start(self.scenario.arguments)
            assert result.code == 0, result.words
            self.server.load(result.modules)
        return result, tree_of(self.folder)

    def calls(self, process: int) -> list[Call]:
        """Of this process, where nothing goes wrong."""
        if process == 0:
            return self.undisturbed[0].calls
        self.reset()
        return self.start(self.scenario.arguments, Fault(process=process)).calls

    def allocations(self, least: int) -> list[Call]:
        """Of at least so many bytes, where nothing goes wrong."""
        assert self.undisturbed
        self.reset()
        return self.start(self.scenario.arguments, Fault(least=least)).calls

    def faults(self) -> Iterator[Fault]:
        for process in range(self.scenario.processes + 1):
            for at, call in enumerate(self.calls(process), start=1):
                yield from faults_of(call, at, process)

    def outcome(self, fault: Fault) -> Outcome:
        """Run it with this fault, and start anew."""
        self.reset()
        result = self.start(self.scenario.arguments, fault)
        problems = [*self._of_words(fault, result), *self._of_files(fault, result)]
        if not problems and result.orphans:
            problems.append(f"{result.orphans} processes were left behind")
        return Outcome(fault, result.hit, result.code, problems or self.of_next_start())

    def _of_words(self, fault: Fault, result: Result) -> Iterator[str]:
        words, hit = result.words, result.hit
        if result.code not in expected_codes(fault, hit):
            yield f"exit code {result.code}: {words[-400:]}"
        if "Traceback" in words or "G900" in words:
            yield f"not a sentence: {words[-400:]}"
        if result.code == 3 and hit is not None and not any(name in words for name in self._names_of(fault, hit)):
            yield f"the message does not name {hit.path}: {words[-400:]}"
        if result.code == 0 and result.output != self.undisturbed[0].output and not self._says_what_it_lacks(result):
            yield f"exit code 0, and other output: {result.output[:200]!r}, {words[-400:]}"

    def _names_of(self, fault: Fault, call: Call) -> list[str]:
        """What a message may call what a call was about: the file, the one that it was to become, its folder; what is
        written, where the call was about the folder that all lies in. Memory and processes have no name."""
        if not call.path or fault.error == errno.ENOMEM:
            return [""]
        if call.path == str(self.folder):
            return [*self.scenario.arguments, "cannot read ."]
        if fault.action == Action.FAIL_ON:  # what fails first may be done without
            return ["cannot write", "cannot be used"]
        path = Path(call.path)
        match = TEMPORARY.fullmatch(path.name)
        folder = self.scenario.arguments if path.parent == self.folder else [path.parent.name or path.name]
        return [path.name, *([match[1]] if match else []), *folder]

    def _of_files(self, fault: Fault, result: Result) -> Iterator[str]:
        found, final = tree_of(self.folder), self.undisturbed[1]
        if result.code == 0 and self._says_what_it_lacks(result):
            return
        if result.code == 0 and (said := difference(self._without_unread(found, result), final)):
            yield f"exit code 0, and not what should be there: {said}"
        yield from self.of_outputs(found)
        yield from self.of_external_data()
        if result.code >= 0 and not (result.hit is not None and result.hit.kind == "unlink"):
            yield from (f"left behind: {name}" for name in found if TEMPORARY.fullmatch(Path(name).name))
        yield from self._of_run()

    def _says_what_it_lacks(self, result: Result) -> bool:
        """Of a command that goes on without what it cannot read."""
        return self.scenario.does_without and result.hit is not None and Path(result.hit.path).name in result.words

    def _without_unread(self, found: Tree, result: Result) -> Tree:
        """Without data of an old model that could not be read: a file that graphc may not have written stays."""
        unread = Path(result.hit.path).name if result.hit is not None else ""
        gone = self.old.keys() - self.undisturbed[1].keys()
        return {name: data for name, data in found.items() if name != unread or name not in gone}

    def of_outputs(self, found: Tree) -> Iterator[str]:
        """Files that are neither old nor new."""
        final = self.undisturbed[1]
        for pattern in self.scenario.outputs:
            for name in {path for path in (*found, *final, *self.old) if Path(path).match(pattern)}:
                if found.get(name) not in (self.old.get(name), final.get(name)):
                    yield f"{name} is neither the old one nor the new one"

    def of_external_data(self) -> Iterator[str]:
        if self.scenario.largest and (self.folder / "net.onnx").exists():
            import onnx

            try:
                onnx.load(self.folder / "net.onnx")
            except Exception as error:
                yield f"net.onnx and its data do not go together: {error}"

    def _of_run(self) -> Iterator[str]:
        """No checkpoint is damaged by what ends a process."""
        folder = self.folder / "run" / "checkpoints"
        if not folder.is_dir():
            return
        try:
            yield from (f"a damaged checkpoint: {warning}" for warning in Checkpoints(folder).latest()[1])
        except WeightsError as error:
            yield f"a damaged checkpoint: {error}"

    def of_next_start(self) -> list[str]:
        next_start = self.scenario.next_start
        arguments = next_start(self.folder) if next_start else self.scenario.arguments
        again = self.start(arguments, beat=SOON)
        if again.code != 0:
            return [f"the next start ends with {again.code}: {again.words[-400:]}"]
        said = difference(tree_of(self.folder), self.undisturbed[1])
        return [f"after the next start: {said}"] if said else []


def expected_codes(fault: Fault, hit: Call | None) -> tuple[int, ...]:
    """Exit codes that are right."""
    if hit is None:
        return (0,)
    if fault.least:
        return 0, 3, *DEATHS
    if fault.action in KILLS:
        return (-9,) if fault.process == 0 else (0, 3)
    if fault.action == Action.INTERRUPT:
        return 0, 130
    if fault.action == Action.SHORT or (fault.error == errno.EINTR and errno.EINTR in ERRORS[hit.kind]):
        return (0,)
    return 0, 3
