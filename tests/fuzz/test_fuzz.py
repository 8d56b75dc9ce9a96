"""A hundred inputs for every reader, and that the engine finds what it is there to find; the millions are
`python -m tests.fuzz`, see docs/reliability.md."""

from __future__ import annotations

import importlib.util
import os
import sys
import time

import pytest

from graphc.errors import DataError, GraphcError
from graphc.train.recipe import recipe_schema

from .engine import run, run_apart
from .guided import run_guided
from .harness import Harness, words_of
from .harnesses import HARNESSES
from .harnesses.arrays import Npy
from .mutate import Mutator

INPUTS = 100
OF_RUNS = 25
"""For those that take a training each."""


def inputs_of(kind: type[Harness]) -> int:
    return OF_RUNS if kind.writes else INPUTS


KINDS = [
    pytest.param(
        kind, id=kind.name, marks=pytest.mark.skipif(not kind.is_there(), reason=f"needs {', '.join(kind.needs)}")
    )
    for kind in HARNESSES
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_reader_is_read_or_refused(tmp_path, kind):
    found = run(kind, tmp_path, 0, inputs_of(kind))
    assert not found.findings, found.findings[0]
    assert found.measured.inputs == inputs_of(kind)
    assert 0 < found.measured.accepted < inputs_of(kind)


@pytest.mark.parametrize("kind", KINDS)
def test_seeds_are_read(tmp_path, kind):
    harness = kind(tmp_path)
    seeds, refused = harness.seeds(), []
    for seed in seeds:
        harness.path.write_bytes(harness.packed(seed))
        try:
            harness.read()
        except GraphcError as error:
            refused.append(error)
    assert len(refused) <= (1 - kind.share_read) * len(seeds), refused[0]


def test_names_are_those_of_one_harness():
    assert len({kind.name for kind in HARNESSES}) == len(HARNESSES)


def test_the_same_number_is_the_same_input(tmp_path):
    one, other = Mutator(Npy(tmp_path)), Mutator(Npy(tmp_path))
    inputs = [one.input(number) for number in range(200)]
    assert inputs == [other.input(number) for number in range(200)]
    assert len(set(inputs)) > 180


def test_the_dictionary_has_the_keys_and_values_of_a_schema():
    assert {b"optimizer", b"adam", b"epochs", b"float64", b"flip_horizontal"} <= set(words_of(recipe_schema()))


class Faulty(Harness):
    """Reads as long as an input is not its own second seed."""

    name = "faulty"
    seconds = 0.2

    def seeds(self):
        return [b"good", b"bad", b"refused"]

    def read(self):
        data = self.path.read_bytes()
        if data == b"refused":
            raise DataError("G401", "refused")
        if data == b"bad":
            self.fail()

    def fail(self):
        raise ValueError("found")


class Slow(Faulty):
    def fail(self):
        end = time.process_time() + 0.3
        while time.process_time() < end:
            pass


class Large(Faulty):
    mebibytes = 20

    def fail(self):
        bytearray(b"x") * (30 << 20)


class Writing(Faulty):
    def fail(self):
        (self.folder / "more").write_text("x")


class Starting(Faulty):
    def fail(self):
        os.system("true")


class Dying(Faulty):
    def fail(self):
        os.abort()


class Exhausting(Faulty):
    def fail(self):
        bytearray(8 << 30)


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        (Faulty, "exception: ValueError in nowhere in graphc"),
        (Slow, "slow: slow"),
        pytest.param(Large, "memory: memory", marks=pytest.mark.posix),
        (Writing, "side effect: open for writing: {path}"),
        (Starting, "side effect: os.system: "),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_what_is_not_as_promised_is_found(tmp_path, kind, what):
    if kind is Large and not os.path.exists("/proc/self/status"):
        pytest.skip("the most memory is measured by /proc")
    found = run(kind, tmp_path, 0, 3)
    assert (found.measured.inputs, found.measured.accepted) == (3, 1 if kind is Faulty else 2)
    [(number, finding)] = found.findings
    assert number == 1
    assert f"{finding.kind}: {finding.what}".startswith(what.format(path=tmp_path / "more"))


@pytest.mark.posix
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of memory are Linux's")
@pytest.mark.parametrize(("kind", "what"), [(Dying, "signal SIGABRT at the input 1"), (Exhausting, "MemoryError in ")])
def test_a_process_that_dies_or_has_no_memory_is_found(kind, what):
    found = run_apart(kind, 0, 3, 60)
    [(number, finding)] = found.findings
    assert (number, found.next) == (1, 2 if kind is Dying else 3)
    assert finding.what.startswith(what)


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="needs atheris (graphc[fuzz])")
def test_the_guided_engine_counts_its_inputs(tmp_path):
    found = run_guided(Npy, 0, 2000, 30, tmp_path)
    assert not found.findings
    assert found.measured.inputs >= 2000
    assert list((tmp_path / "npy").iterdir())
