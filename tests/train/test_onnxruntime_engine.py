"""Runs of the onnxruntime engine beside those of NumPy's: the same curve, the same checkpoints."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from safetensors.numpy import load_file

from graphc.cli import run_command
from graphc.errors import MachineError, SpecError
from graphc.train.commands import Options, resume, train
from graphc.train.onnxruntime_engine import OnnxruntimeEngine
from graphc.train.progress import Silent
from tests.train.conftest import RECIPE

pytest.importorskip("onnxruntime")
IN_ORT = Options(engine="onnxruntime", threads=1)
IN_NUMPY = Options(engine="numpy", threads=1)


class Heard(Silent):
    def __init__(self):
        self.warnings = []

    def warn(self, text):
        self.warnings.append(str(text))


def losses(run):
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [record["loss"] for record in records if "epoch" in record]


def digests(run):
    names = ["best.safetensors", "best.onnx", "metrics.jsonl"]
    last = sorted((run / "checkpoints").glob("*.safetensors"))[-1]
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in (*(run / name for name in names), last)]


@pytest.fixture
def whole(project):
    """A run with a last batch that is not full, dropout, and moving averages."""
    train(project / "recipe.yaml", project / "whole", ("checkpoint_steps=3",), options=IN_ORT)
    return project / "whole"


def test_the_curve_is_numpys(project, whole):
    train(project / "recipe.yaml", project / "numpy", ("checkpoint_steps=3",), options=IN_NUMPY)
    assert losses(whole) == pytest.approx(losses(project / "numpy"), rel=1e-3)
    ours, theirs = (load_file(run / "best.safetensors") for run in (project / "numpy", whole))
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        np.testing.assert_allclose(theirs[name], value, atol=1e-2 * np.abs(value).max(), err_msg=name)


def test_killed_and_resumed_it_ends_with_the_same_bytes(project, whole, monkeypatch):
    compute, steps = OnnxruntimeEngine.compute, []

    def dies(engine, state, batches, rate):
        steps.append(state.step)
        if len(steps) == 12:
            raise MachineError("G500", "the power is gone")
        return compute(engine, state, batches, rate)

    monkeypatch.setattr(OnnxruntimeEngine, "compute", dies)
    with pytest.raises(MachineError, match="the power is gone"):
        train(project / "recipe.yaml", project / "killed", ("checkpoint_steps=3",), options=IN_ORT)
    heard = Heard()
    resume(project / "killed", heard, Options(threads=1))  # goes on with the engine that it went with
    assert len(steps) > 12
    assert not heard.warnings
    assert digests(project / "killed") == digests(whole)


@pytest.mark.posix
def test_ended_by_the_system_it_goes_on_to_the_same_bytes(project):
    """SIGKILL in the middle of a run in a process of its own: nothing can be done at the end."""
    settings = ("epochs=12", "checkpoint_steps=2")
    given = [each for setting in settings for each in ("--set", setting)]
    command = [sys.executable, "-m", "graphc", "train", str(project / "recipe.yaml"), "--threads", "1", *given]
    command += ["-o", str(project / "killed"), "--engine", "onnxruntime"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as running:
        end = time.monotonic() + 120
        log = project / "killed" / "metrics.jsonl"
        while not log.is_file() or log.read_bytes().count(b"\n") < 3:
            assert running.poll() is None, "it ended by itself"
            assert time.monotonic() < end
            time.sleep(0.005)
        running.kill()
    assert running.returncode == -signal.SIGKILL
    resume(project / "killed", options=Options(threads=1))
    train(project / "recipe.yaml", project / "whole", settings, options=IN_ORT)
    assert digests(project / "killed") == digests(project / "whole")


@pytest.mark.parametrize(("first", "second"), [(IN_ORT, IN_NUMPY), (IN_NUMPY, IN_ORT)], ids=["to numpy", "from numpy"])
def test_a_run_goes_on_with_the_other_engine(project, first, second):
    train(project / "recipe.yaml", project / "half", ("epochs=2", "schedule=constant"), options=first)
    heard = Heard()
    resume(project / "half", heard, second, epochs=4)
    assert any("G326" in warning and "onnxruntime" in warning for warning in heard.warnings)
    train(project / "recipe.yaml", project / "straight", ("schedule=constant",), options=IN_NUMPY)
    assert losses(project / "half") == pytest.approx(losses(project / "straight"), rel=1e-3)


@pytest.mark.parametrize("more", [(), ("drop_last=true",)], ids=["short batches", "whole ones"])
def test_accumulated_batches_have_numpys_curve(project, more):
    """100 examples in batches of 16, three a step: the last step has one batch, of four examples."""
    settings = ("accumulate=3", "epochs=3", *more)
    for run, how in (("ours", IN_NUMPY), ("theirs", IN_ORT)):
        train(project / "recipe.yaml", project / run, settings, options=how)
    assert losses(project / "theirs") == pytest.approx(losses(project / "ours"), rel=1e-4)
    ours, theirs = (load_file(project / run / "best.safetensors") for run in ("ours", "theirs"))
    for name, value in ours.items():
        np.testing.assert_allclose(theirs[name], value, atol=1e-3 * np.abs(value).max(), err_msg=name)


def test_a_quantized_run_has_numpys_curve(project):
    """The step rounds as NumPy does, and evaluation too."""
    settings = ("fake_quantize={decay: 0.9}", "epochs=2")
    train(project / "recipe.yaml", project / "whole", settings, options=IN_ORT)
    train(project / "recipe.yaml", project / "numpy", settings, options=IN_NUMPY)
    assert losses(project / "whole") == pytest.approx(losses(project / "numpy"), rel=2e-2)
    ours, theirs = (load_file(project / name / "best.safetensors") for name in ("numpy", "whole"))
    ranges = [name for name in ours if name.endswith("/FakeQuantize/max")]
    assert ranges
    for name in ranges:
        assert float(theirs[name]) == pytest.approx(float(ours[name]), rel=2e-2)


def test_a_student_has_numpys_curve(project):
    """With a teacher, and images that only it knows something of."""
    with np.load(project / "train.npz") as data:
        np.savez(project / "unlabeled.npz", x=data["x"][:30, ::-1])
    train(project / "recipe.yaml", project / "teacher", ["epochs=2"], options=IN_NUMPY)
    taught = [
        "teacher={path: teacher/best.onnx, weight: 0.7}",
        "data.unlabeled={npz: {path: unlabeled.npz, targets: {}}}",
    ]
    for run, how in (("ours", IN_NUMPY), ("theirs", IN_ORT)):
        train(project / "recipe.yaml", project / run, [*taught, "epochs=2"], options=how)
    assert losses(project / "theirs") == pytest.approx(losses(project / "ours"), rel=1e-3)
    ours, theirs = (load_file(project / run / "best.safetensors") for run in ("ours", "theirs"))
    for name, value in ours.items():
        np.testing.assert_allclose(theirs[name], value, atol=1e-2 * np.abs(value).max(), err_msg=name)


def test_a_provider_that_is_not_there_ends_with_a_sentence(project, monkeypatch, capsys):
    monkeypatch.chdir(project)
    asked = ["train", "recipe.yaml", "-o", "run", "--engine", "onnxruntime", "--provider", "cuda"]
    monkeypatch.setattr(sys, "argv", ["graphc", *asked])
    code, said = run_command(), capsys.readouterr().err
    assert code == 3
    assert "error[G503]: provider cuda needs the package onnxruntime-gpu" in said
    assert not (project / "run").exists()


def test_provider_goes_with_its_engine(project, monkeypatch, capsys):
    monkeypatch.chdir(project)
    monkeypatch.setattr(sys, "argv", ["graphc", "train", "recipe.yaml", "--provider", "cuda"])
    assert run_command() == 2
    assert "--provider goes with --engine onnxruntime" in capsys.readouterr().err


def test_what_has_no_graph_is_refused_before_the_run_begins(project):
    recipe = project / "recipe.yaml"
    recipe.write_text(RECIPE + "dtype: float64\n")
    with pytest.raises(SpecError, match=r"recipe\.yaml:15:8: error\[G370\]: dtype"):
        train(recipe, project / "run", options=IN_ORT)
    assert not (project / "run").exists()
