"""A run goes on as it began, or says what has changed; the best weights are those that were saved."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from graphc.errors import WeightsError
from graphc.train import beginning as beginning_module
from graphc.train.commands import Options, resume, train
from graphc.train.run_folder import RunFolder

from .conftest import write_data
from .test_extension import files
from .test_watching import Listener

ACCEPTING = Options(accept_changes=True)


def edit_recipe(run: Path, **values: object) -> None:
    path = run / "recipe.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def edit_spec(run: Path) -> None:
    path = run / "spec" / "tiny.yaml"
    path.write_text(path.read_text().replace("rate: 0.25", "rate: 0.5"))


def edit_optimizer(run: Path) -> None:
    edit_recipe(run, optimizer={"adam": {"weight_decay": 0.1}})


def edit_data(run: Path) -> None:
    write_data(run.parent / "train.npz", 90, 0)


def edit_validation(run: Path) -> None:
    write_data(run.parent / "test.npz", 40, 3)


EDITS = {
    "batch": (lambda run: edit_recipe(run, batch=10), r"recipe\.batch: 16, now 10"),
    "seed": (lambda run: edit_recipe(run, seed=8), r"recipe\.seed: 7, now 8"),
    "epochs": (lambda run: edit_recipe(run, epochs=9), r"recipe\.epochs: 2, now 9"),
    "optimizer": (edit_optimizer, r"recipe\.optimizer\S*\.weight_decay: 0\.001, now 0\.1"),
    "spec": (edit_spec, r"spec/tiny\.yaml:11: '- dropout: \{rate: 0\.25\}', now '- dropout: \{rate: 0\.5\}'"),
    "data": (edit_data, "data: the training set is not what it was: 100 examples, now 90 examples"),
    "validation": (edit_validation, "data: the validation set is not what it was: 40 examples, now 40 examples"),
}


@pytest.fixture
def run(project: Path) -> Path:
    train(project / "recipe.yaml", project / "run", ["epochs=2"])
    return project / "run"


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_is_an_error_that_says_what_it_is(run, edit):
    make_edit, found = EDITS[edit]
    make_edit(run)
    before = files(run)
    with pytest.raises(
        WeightsError, match=rf"error\[G327\]: .* found 1 change\n  {found}\n  --accept-changes"
    ) as caught:
        resume(run)
    assert caught.value.exit_code == 2
    assert files(run) == before


def test_all_edits_are_listed_and_the_version_among_them(run, monkeypatch):
    for name in ("batch", "spec", "data", "validation"):
        EDITS[name][0](run)
    monkeypatch.setattr(beginning_module, "__version__", "9.9")
    with pytest.raises(WeightsError, match=r"found 5 changes\n  version: graphc \S+, now 9\.9\n  recipe\.batch"):
        resume(run)


def test_how_a_recipe_is_written_is_no_change(run):
    edit_recipe(run)
    before = files(run)
    resume(run)
    assert {**files(run), "recipe.json": b""} == {**before, "recipe.json": b""}


def test_what_preprocessing_has_learned_is_compared(project):
    train(
        project / "recipe.yaml",
        project / "run",
        ["epochs=1", "data.preprocess={steps: [{whiten: {over: pixels, epsilon: 0.1}}]}"],
    )
    path = project / "run" / "preprocess.safetensors"
    path.write_bytes(path.read_bytes()[:-4] + np.float32(0.5).tobytes())
    with pytest.raises(
        WeightsError, match=r"preprocess\.safetensors: what preprocessing has learned is not what it was"
    ):
        resume(project / "run")


def test_accepted_changes_are_in_the_log_and_are_no_changes_any_more(run):
    edit_recipe(run, batch=25)
    edit_spec(run)
    edit_data(run)
    said = Listener()
    resume(run, said, ACCEPTING, epochs=4)
    changes = [
        "recipe.batch: 16, now 25",
        "spec/tiny.yaml:11: '- dropout: {rate: 0.25}', now '- dropout: {rate: 0.5}'",
        "data: the training set is not what it was: 100 examples, now 90 examples",
    ]
    for change in changes:
        assert any(change in sentence for sentence in said.said)
    records = RunFolder(run).records()
    assert [(record.get("epoch"), record["step"]) for record in records] == [
        (1, 7),
        (2, 14),
        (None, 8),
        (3, 12),
        (4, 16),
    ]
    assert records[2]["changes"] == changes
    again = Listener()
    assert resume(run, again)["epoch"] == 4
    assert not again.said


def test_fewer_examples_in_the_middle_of_an_epoch(project, monkeypatch):
    from graphc.train import trainer
    from graphc.train.interruption import Interrupted

    step = trainer.Trainer._step

    def stopping(self, made):
        if self.state.step == 9:
            self.interruption.signal = 2
        return step(self, made)

    monkeypatch.setattr(trainer.Trainer, "_step", stopping)
    with pytest.raises(Interrupted):
        train(project / "recipe.yaml", project / "run", ["epochs=3"])
    monkeypatch.undo()
    write_data(project / "train.npz", 30, 5)
    resume(project / "run", options=ACCEPTING)
    assert [record["step"] for record in RunFolder(project / "run").records()] == [7, 2, 4, 6]


def test_more_epochs_are_no_change_wherever_the_command_was_killed(run, monkeypatch):
    def killed(self, recipe):
        raise KeyboardInterrupt

    monkeypatch.setattr(RunFolder, "write_recipe", killed)
    with pytest.raises(KeyboardInterrupt):
        resume(run, epochs=3)
    monkeypatch.undo()
    assert resume(run)["epoch"] == 2
    assert resume(run, epochs=3)["epoch"] == 3
    assert resume(run)["epoch"] == 3


@pytest.mark.parametrize("damage", [lambda data: data[:-1] + bytes([data[-1] ^ 1]), lambda data: data[:-4]])
def test_best_weights_that_are_damaged_do_not_become_onnx(run, damage):
    best = run / "best.safetensors"
    best.write_bytes(damage(best.read_bytes()))
    onnx = (run / "best.onnx").read_bytes()
    with pytest.raises(WeightsError, match=r"best\.safetensors: error\[G328\]: the best weights are damaged"):
        resume(run)
    assert (run / "best.onnx").read_bytes() == onnx


def test_a_run_that_does_not_say_how_it_began(run):
    facts = json.loads((run / "run.json").read_text())
    sets = {name: {**(found or {}), "examples": "many"} for name, found in facts["began"]["data"].items()}
    for began in (None, {}, {"texts": 3}, {**facts["began"], "data": []}, {**facts["began"], "data": sets}):
        (run / "run.json").write_text(json.dumps({**facts, "began": began}))
        with pytest.raises(WeightsError, match=r"run\.json: error\[G323\]: expected what the run began with"):
            resume(run)


def test_a_log_without_epochs_is_no_runs(run):
    log = run / "metrics.jsonl"
    log.write_bytes(b'{"step": 1}\n' + b" " * (log.stat().st_size - 13) + b"\n")
    with pytest.raises(WeightsError, match=r"metrics\.jsonl.*error\[G324\]"):
        resume(run)


@pytest.mark.parametrize("name", ["../tiny.yaml", "/etc/passwd", "a/../../tiny.yaml", ""])
def test_a_spec_that_lies_elsewhere_is_not_read(run, name):
    facts = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**facts, "spec": name}))
    with pytest.raises(WeightsError, match=r"run\.json: error\[G323\]: expected the spec's file below spec/, found"):
        resume(run)
