"""What every engine promises a trainer."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.data.batch import Batch
from graphc.errors import DivergedError
from graphc.spec.model import read_spec_text
from graphc.train.engine import Engine
from graphc.train.numpy_engine import NumpyEngine
from graphc.train.onnxruntime_engine import OnnxruntimeEngine
from graphc.train.recipe import read_recipe_text
from graphc.train.setup import new_state
from graphc.train.task import Task
from tests.train.conftest import SPEC

ENGINES: dict[str, type[Engine]] = {"numpy": NumpyEngine, "onnxruntime": OnnxruntimeEngine}

RECIPE = """\
recipe: 1
model: tiny.yaml
data: {train: digits}
loss: softmax_cross_entropy
optimizer: {momentum: {momentum: 0.9}}
learning_rate: 0.1
epochs: 4
ema: {decay: 0.9}
freeze: [{pattern: "*/conv1/*", until_epoch: 1}]
metrics: [accuracy]
"""


@pytest.fixture(params=ENGINES)
def engine(request):
    made = ENGINES[request.param](Task.of(read_recipe_text(RECIPE), read_spec_text(SPEC, "tiny.yaml")))
    yield made
    made.close()


def batch(seed=0, rows=12):
    rng = np.random.default_rng(seed)
    return Batch({"image": rng.normal(size=(rows, 6, 6, 1)).astype(np.float32)}, {"label": rng.integers(0, 3, rows)})


def arrays(state, engine):
    engine.collect(state)
    return {name: value.copy() for name, value in state.arrays(engine.task.recipe.optimizer).items()}


def changed(before, after):
    return {name for name in before if not np.array_equal(before[name], after[name])}


def test_a_step_changes_nothing_before_it_is_committed(engine):
    state = new_state(engine)
    engine.start()
    before = arrays(state, engine)
    first, again = (engine.compute(state, [batch()], 0.1) for _ in range(2))
    assert changed(before, arrays(state, engine)) == set()
    assert (first.loss, first.gradient_norm, first.examples) == (again.loss, again.gradient_norm, 12)
    assert state.step == 0
    again.commit()
    assert state.step == 1
    names = changed(before, arrays(state, engine))
    assert {"params/tiny/logits/weights", "average/tiny/logits/weights"} <= names
    assert not any(name.startswith("params/tiny/conv1/weights") for name in names)


def test_a_step_has_the_loss_of_its_examples_and_makes_it_smaller(engine):
    """The loss, and the predictions that metrics judge, are of the variables before the step."""
    state = new_state(engine)
    engine.start()
    first = engine.compute(state, [batch()], 0.05)
    logits, labels = first.judged[0][0]
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    chances = (exponents / exponents.sum(axis=1, keepdims=True))[np.arange(12), labels]
    assert first.loss - first.penalty == pytest.approx(-np.log(chances).mean(), rel=1e-5)
    assert first.penalty > 0
    for _ in range(30):
        last = engine.compute(state, [batch()], 0.05)
        last.commit()
    assert last.loss < 0.8 * first.loss


def test_what_is_thawed_learns(engine):
    state = new_state(engine)
    assert engine.begin_epoch(0, 1) == 0
    engine.start()
    assert engine.begin_epoch(1, 1) > 0
    engine.start()
    before = arrays(state, engine)
    engine.compute(state, [batch()], 0.1).commit()
    assert "params/tiny/conv1/weights" in changed(before, arrays(state, engine))


def test_a_loss_that_is_not_finite_ends_training_and_leaves_the_state(engine):
    state = new_state(engine)
    engine.start()
    before, bad = arrays(state, engine), batch()
    bad.inputs["image"][3, 2, 2, 0] = np.nan
    with pytest.raises(DivergedError, match="step 1: the loss is not finite"):
        engine.compute(state, [bad], 0.1)
    assert changed(before, arrays(state, engine)) == set()
