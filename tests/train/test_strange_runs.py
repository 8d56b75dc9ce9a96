"""Folders of runs that somebody else has made: what does not go together is a sentence, whose checksums are right."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from graphc.errors import GraphcError
from graphc.train.checkpoint import CheckpointKey, Checkpoints
from graphc.train.commands import resume, train

AT = CheckpointKey(20, 2)
"""In the midst of the third epoch of seven steps."""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    from tests.train.conftest import RECIPE, SPEC, write_data

    folder = tmp_path_factory.mktemp("run")
    (folder / "tiny.yaml").write_text(SPEC)
    (folder / "recipe.yaml").write_text(RECIPE)
    write_data(folder / "train.npz", 100, 0)
    write_data(folder / "test.npz", 40, 1)
    train(folder / "recipe.yaml", folder / "run", ["checkpoint_steps=20", "epochs=3", "early_stopping={}"])
    for path in (folder / "run/checkpoints").iterdir():
        if path.stem != str(AT):
            path.unlink()
    return folder / "run"


def changed(run, tmp_path, change):
    """A copy of the run, and its checkpoint's facts and arrays as `change` leaves them, signed."""
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    checkpoint, _ = Checkpoints(copy / "checkpoints").latest()
    facts, arrays = checkpoint.facts, dict(checkpoint.arrays)
    change(facts, arrays)
    Checkpoints(copy / "checkpoints").save(
        AT, arrays, {key: facts[key] for key in facts if not key.startswith("data_")}
    )
    return copy


def put(*path, value):
    def change(facts, arrays):
        for key in path[:-1]:
            facts = facts[key]
        facts[path[-1]] = value

    return change


def put_array(name, value):
    return lambda facts, arrays: arrays.__setitem__(name, value)


def test_it_is_gone_on_with_as_it_is(run, tmp_path):
    assert resume(changed(run, tmp_path, lambda facts, arrays: None))["epoch"] == 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (put("watch", "name", value="auc"), "expected one of loss, accuracy to be watched, found 'auc'"),
        (put("watch", "best", value="0.5"), "watch: expected best in it"),
        (put("watch", "waited", value=True), "watch: expected waited in it"),
        (put("watch", "more", value=1), "unexpected keyword argument 'more'"),
        (put("plateau", "factor", value=None), "plateau: expected factor in it"),
        (put("step", value=-1), "expected a step of this training, found step -1, epoch 2, position 6"),
        (put("position", value=8), "expected a step of this training, found step 20, epoch 2, position 8"),
        (put_array("order", np.arange(99)), "expected the order of 100 rows"),
        (put_array("order", np.arange(100) + 1), "expected the order of 100 rows"),
        (put_array("order", np.arange(100.0)), "expected the order of 100 rows"),
        (put_array("totals/epoch/steps", np.zeros(2)), "expected the totals of these losses and metrics"),
        (put_array("totals/auc/sums", np.zeros(2)), "expected the totals of these losses and metrics"),
        (put_array("totals/x", np.zeros(2)), "not enough values to unpack"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_a_checkpoint_of_another_training(run, tmp_path, change, said):
    with pytest.raises(GraphcError, match=f"G320.*the checkpoint is of another network: .*{said}"):
        resume(changed(run, tmp_path, change))


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (
            {"values": {"image": {"dtype": "text"}}},
            "values of images in values of run.json, found: .*numbers, found 'text'",
        ),
        ({"values": {"image": {"black_to_white": [1, 0]}}}, r"expected \[black, white\], found \[1.0, 0.0\]"),
        ({"values": {"image": 7}}, "values of images in values of run.json"),
        ({"values": []}, "expected values in it"),
        ({"target_classes": {"label": [1]}}, "expected classes in it"),
        ({"classes": [[]]}, "expected classes in it"),
    ],
    ids=lambda each: "" if isinstance(each, dict) else each,
)
def test_facts_that_are_none(run, tmp_path, facts, said):
    copy = changed(run, tmp_path, lambda facts, arrays: None)
    path = copy / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **facts}))
    with pytest.raises(GraphcError, match=said):
        resume(copy)
