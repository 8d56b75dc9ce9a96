"""Every call of the system may fail, be cut short, or be the last one: a slice of it. All of it is `.ci/faults`."""

from __future__ import annotations

import errno
import os

import pytest

from tests.faults.calls import Action, Fault, why_no_shim
from tests.faults.campaign import SMALLEST
from tests.faults.cases import DEATHS, difference, tree_of

pytestmark = [pytest.mark.posix, pytest.mark.skipif(why_no_shim() is not None, reason=str(why_no_shim()))]
SLICES = {
    "compile, external data": (2, 19),
    "draw": (3, 17),
    "train": (20, 211),
    "train, workers": (41, 211),
    "sweep": (62, 701),
    "resume": (11, 151),
    "eval": (5, 31),
    "predict to a file": (2, 37),
    "export (compile --with-preprocess)": (7, 41),
    "train on masks": (13, 1201),
    "weights convert": (4, 71),
    "import from darknet": (6, 71),
    "report on a run": (1, 61),
}
"""Of each scenario, the first case and the distance to the next."""


@pytest.mark.parametrize("name", SLICES)
def test_what_is_there_is_old_or_new_and_the_next_start_ends_with_the_same_bytes(name, stage_of):
    stage = stage_of(name)
    first, distance = SLICES[name]
    outcomes = [stage.outcome(fault) for fault in list(stage.faults())[first::distance]]
    assert outcomes
    assert not [f"{outcome}: {outcome.problems}" for outcome in outcomes if outcome.problems]


def test_every_kind_of_call_is_counted(stage_of):
    kinds = {call.kind for call in stage_of("train").calls(0)}
    stage = stage_of("train, workers")
    kinds |= {call.kind for process in range(3) for call in stage.calls(process)}
    expected = {"open", "create", "read", "write", "fsync", "rename", "close", "unlink", "mkdir", "map", "share"}
    assert expected | {"truncate", "chmod", "lock", "list", "fork", "semaphore", "pipe", "thread"} <= kinds


def test_a_call_fails_as_it_is_told_to(stage_of):
    """The harness itself: the call that is named is the one that is hit, and its error is the one that is said."""
    stage = stage_of("draw")
    at = next(number for number, call in enumerate(stage.calls(0), start=1) if call.kind == "rename")
    stage.reset()
    result = stage.start(stage.scenario.arguments, Fault(at, Action.FAIL, errno.ENOSPC))
    assert (result.code, result.hit and result.hit.kind) == (3, "rename")
    assert os.strerror(errno.ENOSPC) in result.words
    assert difference({"a": b"1", "b": b""}, {"a": b"2", "c": b""}) == (
        "missing: c; not expected: b; with other bytes: a"
    )


@pytest.mark.parametrize(("name", "distance"), [("compile, external data", 41), ("train", 67)])
def test_an_allocation_that_fails_is_said_and_nothing_is_lost(name, distance, stage_of):
    stage = stage_of(name)
    count = len(stage.allocations(SMALLEST))
    faults = [Fault(at, Action.FAIL, errno.ENOMEM, least=SMALLEST) for at in range(1, count + 1, distance)]
    outcomes = [stage.outcome(fault) for fault in faults]
    assert 3 in {outcome.code for outcome in outcomes}
    assert not [f"{outcome}: {outcome.problems}" for outcome in outcomes if outcome.problems]


def test_an_address_space_that_is_too_small_is_said(stage_of):
    """From a little to enough: the first ones end with one sentence, and what was there stays."""
    stage = stage_of("compile")
    codes = []
    for megabytes in (1, 4, 16, 1024):
        stage.reset()
        result = stage.start(stage.scenario.arguments, address_space=megabytes << 20)
        codes.append(result.code)
        assert result.code in (0, 3, *DEATHS), result.words
        assert "Traceback" not in result.words
        assert not list(stage.of_outputs(tree_of(stage.folder)))
    assert codes[-1] == 0
