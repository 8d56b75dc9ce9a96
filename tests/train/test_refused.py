"""Runs that do not begin, or that end early: what is said, and what is left behind."""

from __future__ import annotations

import re

import numpy as np
import pytest

from graphc.errors import DataError, DivergedError, GraphcError, MachineError, WeightsError
from graphc.train.commands import resume

from .conftest import write_data
from .test_train import _train

BAD = {
    "label out of range": (("data.train.npz.y=y",), "unknown key 'y'"),
    "unknown metric": (("metrics=[acuracy]",), r"did you mean 'accuracy'\?"),
    "no pattern": (('freeze=["*/conv9/*"]',), r"the pattern '\*/conv9/\*' fits no variable"),
    "all frozen": (('freeze=["*"]',), "nothing is left to learn"),
    "no head": (("loss=", "heads=[{output: logist, loss: hinge}]"), r"did you mean 'logits'\?"),
    "no target": (("loss=", "heads=[{output: logits, loss: hinge, target: lable}]"), r"did you mean 'label'\?"),
    "watch": (("monitor=f1",), "expected one of loss, accuracy, found 'f1'"),
    "no file": (("data.train.npz.path=none.npz",), "there is no file"),
    "no spec": (("model=tiny2.yaml",), "there is no file"),
    "two lengths": (("steps=3",), "expected either `epochs` or `steps`"),
    "number": (("batch=0",), "batch: expected greater than 0, found 0"),
    "watch a matrix": (("metrics=[confusion_matrix]", "monitor=confusion_matrix"), "expected one of loss, found"),
    "class weights": (("loss={softmax_cross_entropy: {class_weights: [1, 2]}}",), "2 class_weights for the 3 classes"),
    "no input": (("data.preprocess_inputs={imgae: {mean: fit}}",), r"found 'imgae' \(did you mean 'image'\?\)"),
    "probabilities": (
        ("metrics=[{auc: {bins: 100}}]", "monitor=loss"),
        "auc is exact and knows its head",
    ),
    "two sets": (("data.validation_share=0.1",), "at most one of"),
}


@pytest.mark.parametrize(("overrides", "words"), BAD.values(), ids=BAD)
def test_bad_recipes_say_what_is_wrong(project, overrides, words):
    with pytest.raises(GraphcError, match=words) as caught:
        _train(project, *overrides)
    assert caught.value.exit_code == 2
    assert not (project / "run" / "run.json").exists()  # which shows in the first step only


def test_targets_of_one_output_lie_between_0_and_1(project):
    (project / "tiny.yaml").write_text((project / "tiny.yaml").read_text().replace("units: 3", "units: 1"))
    with pytest.raises(DataError, match=r"expected targets from 0 to 1, found 2 at example \d+"):
        _train(project, "loss=sigmoid_cross_entropy")
    for name in ("train", "test"):
        write_data(project / f"{name}.npz", 60, 0, label_limit=2)
    with pytest.raises(DataError, match="mixup expects one output a class, found a single one"):
        _train(project, "loss=sigmoid_cross_entropy", "data.augment=[mixup]")
    assert _train(project, "loss=sigmoid_cross_entropy", run="b")["validation_accuracy"] > 0.8


def test_bad_data_say_what_is_wrong(project):
    write_data(project / "train.npz", 100, 0, label_limit=5)
    with pytest.raises(DataError, match=r"expected labels from 0 to 2, found [34] at example \d+"):
        _train(project)
    np.savez(project / "train.npz", x=np.zeros((10, 8, 8, 1)), y=np.zeros(10, int))
    with pytest.raises(DataError, match="the spec reads image of 6×6×1, the data have 8×8×1"):
        _train(project, run="b")
    np.savez(project / "train.npz", x=np.zeros((10, 6, 6)), y=np.zeros((10, 2)))
    with pytest.raises(DataError, match="logits gives 3 an example"):
        _train(project, run="c")


@pytest.mark.parametrize("override", ["learning_rate=1e30", "optimizer={sgd: {weight_decay: 1e38}}"])
def test_divergence_names_the_tensor_and_keeps_the_checkpoint(project, override):
    with pytest.raises(DivergedError, match=r"step \d+: .*(variable|gradient of|output of layer|params/)") as caught:
        _train(project, override, "ema=", "schedule=constant")
    assert caught.value.exit_code == 4
    assert re.search(r"the last checkpoint, after step \d+, is kept", str(caught.value))
    kept = list((project / "run" / "checkpoints").glob("*.safetensors"))
    assert kept
    for path in kept:
        from safetensors.numpy import load_file

        assert all(np.isfinite(array).all() for array in load_file(path).values())


def test_inputs_that_are_no_numbers_are_refused(project):
    images = np.zeros((20, 6, 6, 1), np.float32)
    images[13] = np.nan
    np.savez(project / "train.npz", x=images, y=np.zeros(20, int))
    with pytest.raises(
        DataError,
        match=r"expected finite numbers \(float32\) in image, found nan at example 13",
    ):
        _train(project)


def test_folders_that_cannot_be_written(project):
    (project / "file").write_text("")
    with pytest.raises(MachineError, match="cannot write in"):
        _train(project, run="file")
    (project / "mine").mkdir()
    (project / "mine" / "thesis.txt").write_text("")
    with pytest.raises(MachineError, match=r"expected a new or empty folder, .* holds thesis\.txt"):
        _train(project, run="mine")
    _train(project, "epochs=1")
    with pytest.raises(MachineError, match="holds a run already"):
        _train(project)
    with pytest.raises(WeightsError, match=r"no run\.json in it"):
        resume(project / "mine")


def test_a_finished_run_resumes_to_itself(project):
    last = _train(project)
    before = {path.name: path.read_bytes() for path in (project / "run").iterdir() if path.is_file()}
    assert resume(project / "run") == last
    after = {path.name: path.read_bytes() for path in (project / "run").iterdir() if path.is_file()}
    del before["lock"], after["lock"]
    assert before == after


def test_changed_data_are_refused(project):
    _train(project)
    write_data(project / "train.npz", 100, 5)
    with pytest.raises(WeightsError, match="the training set is not what it was"):
        resume(project / "run")
