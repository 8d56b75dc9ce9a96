"""Variables that are frozen in the first epochs only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from graphc.errors import SpecError
from graphc.initializers import Zeros
from graphc.train.commands import Options, resume, train
from graphc.train.interruption import Interrupted
from graphc.train.param_groups import ParamGroups
from graphc.train.recipe import read_recipe_text
from graphc.variables import ParamSpec

from .test_extension import files
from .test_watching import Listener

NAMES = ("tiny/conv1/weights", "tiny/conv1/BatchNorm/moving_mean", "tiny/logits/weights")
UNTIL_2 = 'freeze=[{pattern: "*/conv1/*", until_epoch: 2}]'
COMMON = ("ema=", "schedule=constant", "data.validation=", "metrics=[]", "monitor=loss")


def values(run: Path) -> dict[str, np.ndarray]:
    newest = sorted((run / "checkpoints").glob("*.safetensors"))[-1]
    found = safetensors.numpy.load_file(newest)
    return {name: found[f"params/{name}"] for name in NAMES}


def trained(project: Path, run: str, *overrides: str) -> dict[str, np.ndarray]:
    train(project / "recipe.yaml", project / run, (*COMMON, *overrides))
    return values(project / run)


def test_variables_stay_for_so_many_epochs_and_then_learn(project: Path) -> None:
    frozen, two = trained(project, "a", "freeze=*/conv1/*", "epochs=2"), trained(project, "b", UNTIL_2, "epochs=2")
    for name, value in frozen.items():
        np.testing.assert_array_equal(value, two[name], err_msg=name)
    three = trained(project, "c", UNTIL_2, "epochs=3")
    for name in NAMES:
        assert (three[name] != two[name]).all(), name


def test_adam_counts_the_steps_of_a_variable_from_where_it_began(project: Path) -> None:
    """Adam's first step is the rate in size, whenever it is made: m/sqrt(v) of one gradient is its sign."""
    rate = ("epochs=", "optimizer={adam: {epsilon: 1.0e-30}}", "learning_rate=0.001", "dtype=float64")
    before, after = trained(project, "a", UNTIL_2, *rate, "steps=14"), trained(project, "b", UNTIL_2, *rate, "steps=15")
    moved = np.abs(after["tiny/conv1/weights"] - before["tiny/conv1/weights"])
    np.testing.assert_allclose(moved, 0.001, rtol=1e-6)


@pytest.mark.parametrize("threads", [1, 2])
def test_killed_and_resumed_it_ends_with_the_same_bytes(
    project: Path, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    """In the epoch before, and in the one in which more variables learn; threads are processes where there can be."""
    from graphc.train import trainer

    options, settings = Options(threads=threads), (*COMMON, UNTIL_2, "epochs=4", "checkpoint_steps=3")
    said = Listener()
    train(project / "recipe.yaml", project / "whole", settings, said, options)
    assert said.said == ["epoch 3: 4 variables are frozen no longer"]
    step = trainer.Trainer._step

    def ends(self: trainer.Trainer, made: object) -> int:
        if self.state.step in stops:
            stops.remove(self.state.step)
            raise Interrupted(15, "stopped")
        return step(self, made)  # type: ignore[arg-type]

    stops = {10, 17}
    monkeypatch.setattr(trainer.Trainer, "_step", ends)
    with pytest.raises(Interrupted):
        train(project / "recipe.yaml", project / "run", settings, options=options)
    with pytest.raises(Interrupted):
        resume(project / "run", options=options)
    resume(project / "run", options=options)
    assert not stops
    assert files(project / "run") == files(project / "whole")


VARIABLES = {
    "net/a/weights": ParamSpec((2,), Zeros()),
    "net/a/moving_mean": ParamSpec((2,), Zeros(), trainable=False),
    "net/b/weights": ParamSpec((2,), Zeros()),
}


def learning(freeze: str, epoch: int) -> ParamGroups:
    text = "recipe: 1\nmodel: net\ndata: {train: digits}\nloss: hinge\noptimizer: sgd\nlearning_rate: 1\nepochs: 9\n"
    return ParamGroups.of(VARIABLES, read_recipe_text(f"{text}freeze: {freeze}"), epoch, epoch_steps=10)


def test_the_longest_freeze_counts() -> None:
    freeze = "[{pattern: '*/a/*', until_epoch: 2}, {pattern: '*/moving_mean'}, {pattern: '*/weights', until_epoch: 1}]"
    with pytest.raises(SpecError, match="nothing is left to learn"):
        learning(freeze, 0)
    assert learning(freeze, 1).learning == ("net/b/weights",)
    assert learning(freeze, 1).began == {"net/b/weights": 10}
    last = learning(freeze, 2)
    assert (last.learning, last.frozen) == (("net/a/weights", "net/b/weights"), {"net/a/moving_mean"})
    assert last.began == {"net/a/weights": 20, "net/b/weights": 10}
    assert last.frozen_for_good == {"net/a/moving_mean"}


@pytest.mark.parametrize(
    "freeze", ["'*/a/*'", "['*/a/*']", "[{pattern: '*/a/*'}]", "[{pattern: '*/a/*', until_epoch: 9}]"]
)
def test_every_form(freeze: str) -> None:
    assert learning(freeze, 8).learning == ("net/b/weights",)
