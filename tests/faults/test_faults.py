"""Every call of the system may fail, be cut short, or be the last one: a slice of it. All of it is `.ci/faults`."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.faults.calls import Action, Fault, build_shim, why_no_shim
from tests.faults.cases import Stage, difference
from tests.faults.scenarios import SCENARIOS
from tests.faults.server import Server

pytestmark = [pytest.mark.posix, pytest.mark.skipif(why_no_shim() is not None, reason=str(why_no_shim()))]
SLICES = {
    "compile, external data": (2, 19),
    "draw": (3, 17),
    "train": (20, 211),
    "train, workers": (41, 211),
    "resume": (11, 151),
    "eval": (5, 31),
    "predict to a file": (2, 37),
    "export (compile --with-preprocess)": (7, 41),
    "report on a run": (1, 61),
}
"""Of each scenario, the first case and the distance to the next."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(build_shim(tmp_path_factory.mktemp("shim"))) as started:
        yield started


def stage_of(name: str, server: Server, tmp_path) -> Stage:
    return Stage(server, next(scenario for scenario in SCENARIOS if scenario.name == name), tmp_path / "stage")


@pytest.mark.parametrize("name", SLICES)
def test_what_is_there_is_old_or_new_and_the_next_start_ends_with_the_same_bytes(name, server, tmp_path):
    stage = stage_of(name, server, tmp_path)
    first, distance = SLICES[name]
    outcomes = [stage.outcome(fault) for fault in list(stage.faults())[first::distance]]
    assert outcomes
    assert not [f"{outcome}: {outcome.problems}" for outcome in outcomes if outcome.problems]


def test_every_kind_of_call_is_counted(server, tmp_path):
    kinds = {call.kind for call in stage_of("train", server, tmp_path).calls(0)}
    stage = stage_of("train, workers", server, tmp_path)
    kinds |= {call.kind for process in range(3) for call in stage.calls(process)}
    expected = {"open", "create", "read", "write", "fsync", "rename", "close", "unlink", "mkdir", "map", "share"}
    assert expected | {"truncate", "chmod", "lock", "list", "fork", "semaphore", "pipe", "thread"} <= kinds


def test_a_call_fails_as_it_is_told_to(server, tmp_path):
    """The harness itself: the call that is named is the one that is hit, and its error is the one that is said."""
    stage = stage_of("draw", server, tmp_path)
    at = next(number for number, call in enumerate(stage.calls(0), start=1) if call.kind == "rename")
    stage.reset()
    result = stage.start(stage.scenario.arguments, Fault(at, Action.FAIL, 28))
    assert (result.code, result.hit and result.hit.kind) == (3, "rename")
    assert os.strerror(28) in result.words
    assert difference({"a": b"1", "b": b""}, {"a": b"2", "c": b""}) == (
        "missing: c; not expected: b; with other bytes: a"
    )
