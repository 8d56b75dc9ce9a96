"""A recipe on its network: what belongs to both is made once a command."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from graphc.data.preprocess import Preprocess
from graphc.data.value_range import range_of_type
from graphc.errors import SpecError
from graphc.spec import model
from graphc.spec.model import read_spec
from graphc.train.commands import evaluate_run, predict, resume, train
from graphc.train.loss_terms import LossTerms
from graphc.train.recipe import Model, read_recipe
from graphc.train.task import spec_path, task_of


@pytest.fixture
def made(monkeypatch):
    """How often a spec was read, and heads were made."""
    found, read, init = Counter(), model.read_document, LossTerms.__init__

    def reading(*arguments):
        found["spec"] += 1
        return read(*arguments)

    def making(self, *arguments):
        found["heads"] += 1
        init(self, *arguments)

    monkeypatch.setattr(model, "read_document", reading)
    monkeypatch.setattr(LossTerms, "__init__", making)
    return found


def test_a_spec_is_read_once_a_command(project, made):
    """`LossTerms` are made once too, in training a second time: with what was learned from the training set."""
    run = project / "run"
    train(project / "recipe.yaml", run, ["epochs=1"])
    assert made == {"spec": 1, "heads": 2}
    made.clear()
    resume(run, epochs=2)
    assert made == {"spec": 1, "heads": 1}
    made.clear()
    evaluate_run(run)
    assert made == {"spec": 1, "heads": 1}
    made.clear()
    assert len(list(predict(run, [str(project / "test.npz")]))) == 40
    assert made == {"spec": 1, "heads": 1}


def test_a_recipe_names_a_spec_of_the_zoo_as_specs_do(tmp_path):
    def name(spec: str) -> str:
        return read_spec(spec_path(Model(spec=spec), tmp_path)).name

    assert name("lenet5") == name("zoo/lenet5") == "lenet5"
    with pytest.raises(SpecError, match="there is no file zoo/lenet6, and the zoo has no 'lenet6'"):
        name("zoo/lenet6")
    (tmp_path / "zoo").mkdir()
    (tmp_path / "zoo" / "lenet5").write_text("graphc: 1\nname: mine\ninputs: {x: [N, 4]}\nlayers: [relu]\n")
    assert name("zoo/lenet5") == "mine"


def test_fitting_leaves_settings_as_they_were():
    images = np.random.default_rng(0).integers(0, 256, (20, 4, 4, 3), dtype=np.uint8)
    said = Preprocess.model_validate({"steps": ["rescale", {"standardize": {"per": "pixel"}}]})
    before = said.model_dump_json()
    fitted = said.fitted(images, values=range_of_type(images.dtype))
    assert set(fitted.arrays) == {"raw", "1/mean", "1/deviation"}
    assert said.model_dump_json() == before
    assert fitted.settings.steps[1] == said.steps[1]
    np.testing.assert_allclose(fitted.arrays["1/mean"], (images / 255).mean(axis=0), atol=1e-6)


def test_preprocessing_is_the_inputs_own_or_that_of_all(project):
    recipe = read_recipe(project / "recipe.yaml", ["data.preprocess_inputs={image: {scale: 2}}"])
    preprocessing = task_of(recipe, project).preprocessing
    assert preprocessing.of("image").settings.scale == 2
    assert preprocessing.of("another").settings == Preprocess()


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("{units: 3}", "recipe.yaml:2:39: error[G172]: the spec has no variable 'units'"),
        ('{rate: ""}', "recipe.yaml:2:38: error[G172]: expected a value of 'rate', found none"),
    ],
)
def test_a_variable_of_the_spec_is_said_where_the_recipe_sets_it(project, said, words):
    path = project / "recipe.yaml"
    path.write_text(path.read_text().replace("model: tiny.yaml", f"model: {{spec: tiny.yaml, set: {said}}}"))
    with pytest.raises(SpecError) as caught:
        task_of(read_recipe(path), project)
    assert words in str(caught.value)
