"""Event files, with the extra and without it."""

from __future__ import annotations

import sys

import pytest

from graphc.errors import MachineError
from graphc.train.commands import resume, train


class _Writer:
    def __init__(self, folder, purge_step):
        self.scalars = [("begin", purge_step, folder)]
        WRITERS.append(self)

    def add_scalar(self, *scalar):
        self.scalars.append(scalar)

    def flush(self): ...

    def close(self):
        self.scalars.append("closed")


WRITERS: list[_Writer] = []


def test_numbers_of_the_log_become_scalars(project, monkeypatch):
    class Stub:
        SummaryWriter = _Writer

    monkeypatch.setitem(sys.modules, "tensorboardX", Stub)
    last = train(project / "recipe.yaml", project / "run", ["epochs=1", "tensorboard=true"])
    scalars = WRITERS[-1].scalars
    assert scalars[0] == ("begin", 0, str(project / "run" / "tensorboard"))
    assert ("accuracy/validation", last["validation_accuracy"], last["step"]) in scalars
    assert ("loss/train", last["loss"], last["step"]) in scalars
    assert scalars[-1] == "closed"


def test_a_resumed_run_goes_on_where_it_was(project, monkeypatch):
    class Stub:
        SummaryWriter = _Writer

    monkeypatch.setitem(sys.modules, "tensorboardX", Stub)
    last = train(project / "recipe.yaml", project / "run", ["epochs=1", "tensorboard=true"])
    resume(project / "run")
    assert WRITERS[-1].scalars[0][1] == last["step"]


def test_without_the_extra_it_says_which(project, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(MachineError, match=r"install graphc\[tb\]"):
        train(project / "recipe.yaml", project / "run", ["tensorboard=true"])
    assert not (project / "run" / "run.json").exists()
