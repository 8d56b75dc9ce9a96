"""Runs that are stopped in every way and resumed end with the bytes of one that never was."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from graphc.errors import MachineError, WeightsError
from graphc.train.commands import Options, resume, train
from graphc.train.run_folder import RunFolder

START = "import sys; from graphc.train.commands import *; from graphc.errors import GraphcError\n"
RUN = (
    START
    + """
try:
    train(sys.argv[1], sys.argv[2], sys.argv[3:]) if "recipe" in sys.argv[1] else resume(sys.argv[1])
except GraphcError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
"""
)
SETTINGS = ("epochs=8", "checkpoint_steps=3", "log_steps=2", "accumulate=2", "batch=5")


def _process(*arguments):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", RUN, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def _state(run):
    """SHA-256 of everything that a run ends with, by name; of the checkpoints only the last."""
    names = ["best.safetensors", "best.onnx", "metrics.jsonl", "recipe.json"]
    last = sorted((run / "checkpoints").glob("*.json"))[-1]
    paths = [run / name for name in names] + [last, last.with_suffix(".safetensors")]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


@pytest.fixture
def undisturbed(project):
    train(project / "recipe.yaml", project / "whole", SETTINGS)
    return _state(project / "whole")


def _wait_for(condition, process):
    while not condition():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.005)


def _sleep(seconds):
    """In short naps: there are systems where a signal wakes nobody."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.02)


def test_killed_at_random_moments(project, undisturbed):
    """SIGKILL again and again, wherever it happens to strike, until a try gets through."""
    rng = random.Random(5)
    run = project / "run"
    process = _process(project / "recipe.yaml", run, *SETTINGS)
    _wait_for((run / "run.json").exists, process)
    kills = 0
    while True:
        try:
            process.communicate(timeout=rng.uniform(0.0, 0.4) if not kills else rng.uniform(1.0, 2.2))
            break
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
        if kills == 4:
            resume(run)
            break
        process = _process(run)
    assert kills > 0
    assert _state(run) == undisturbed


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_stop(project, undisturbed, number):
    run = project / "run"
    process = _process(project / "recipe.yaml", run, *SETTINGS)
    _wait_for(lambda: len(list(run.glob("checkpoints/*.json"))) == 2, process)
    process.send_signal(number)
    _, words = process.communicate(timeout=60)
    assert process.returncode == 128 + number, words
    assert "saved; `graphc resume" in words
    resume(run)
    assert _state(run) == undisturbed


def test_stopped_in_the_middle_of_a_step(project, undisturbed, monkeypatch):
    """A step that takes too long is given up; the state is the last step's."""
    from graphc.train import interruption, numpy_engine
    from graphc.train.interruption import Interrupted

    monkeypatch.setattr(interruption, "PATIENCE", 0.05)
    compute, calls = numpy_engine.NumpyEngine.compute, []

    def slow(self, state, batches, rate):
        done = compute(self, state, batches, rate)
        calls.append(1)
        if len(calls) == 17:
            os.kill(os.getpid(), signal.SIGINT)
            _sleep(30)
        return done

    monkeypatch.setattr(numpy_engine.NumpyEngine, "compute", slow)
    with pytest.raises(Interrupted, match="stopped after step 16") as caught:
        train(project / "recipe.yaml", project / "run", SETTINGS)
    assert caught.value.exit_code == 130
    monkeypatch.undo()
    resume(project / "run")
    assert _state(project / "run") == undisturbed


def test_stopped_while_validating(project, undisturbed, monkeypatch):
    from graphc.train import interruption, numpy_engine
    from graphc.train.interruption import Interrupted

    monkeypatch.setattr(interruption, "PATIENCE", 0.05)
    evaluate, calls = numpy_engine.evaluate, []

    def slow(*arguments):
        calls.append(1)
        if len(calls) == 8:
            os.kill(os.getpid(), signal.SIGTERM)
            _sleep(30)
        return evaluate(*arguments)

    monkeypatch.setattr(numpy_engine, "evaluate", slow)
    with pytest.raises(Interrupted, match="stopped after step 80"):
        train(project / "recipe.yaml", project / "run", SETTINGS)
    monkeypatch.undo()
    resume(project / "run")
    assert _state(project / "run") == undisturbed


def test_a_second_signal_ends_it_at_once(project, monkeypatch):
    from graphc.train import numpy_engine
    from graphc.train.interruption import Interrupted

    def twice(self, state, batches, rate):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        _sleep(30)

    monkeypatch.setattr(numpy_engine.NumpyEngine, "compute", twice)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted, match="stopped at once"):
        train(project / "recipe.yaml", project / "run", SETTINGS)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("suffix", ["json", "safetensors"])
def test_a_damaged_newest_checkpoint_costs_nothing_but_time(project, undisturbed, suffix):
    run = project / "whole"
    newest = sorted((run / "checkpoints").glob(f"*.{suffix}"))[-1]
    newest.write_bytes(newest.read_bytes()[:-5])
    said = []

    class Listening:
        def __getattr__(self, name):
            return lambda *arguments: said.append(arguments) if name == "warn" else None

    resume(run, Listening())
    assert newest.name in said[0][0]
    assert _state(run) == undisturbed


@pytest.mark.parametrize("shards", [2, 3])
def test_threads_do_not_change_the_bytes(project, shards):
    states = []
    settings = ["epochs=2", f"shards={shards}"]
    for threads in (1, shards):
        train(project / "recipe.yaml", project / str(threads), settings, options=Options(threads=threads))
        states.append(_state(project / str(threads)))
    assert states[0] == states[1]


def test_two_trainers_in_one_folder(project):
    train(project / "recipe.yaml", project / "run", ["epochs=1"])
    with RunFolder(project / "run").locked(), pytest.raises(MachineError, match=rf"in use by pid {os.getpid()} on "):
        resume(project / "run")
    resume(project / "run")


def test_other_settings_are_said(project, monkeypatch):
    from graphc.train import numpy_engine

    train(project / "recipe.yaml", project / "run", ["epochs=1"])
    monkeypatch.setattr(numpy_engine, "bit_settings", lambda: {"numpy": "9.9"})
    with pytest.raises(WeightsError, match=r"numpy .*, now 9\.9"):
        resume(project / "run", options=Options(exact=True))
    resume(project / "run")


@pytest.mark.posix
def test_a_full_disk(project):
    """No file may grow beyond 3,000 bytes: one sentence, exit code 3, and the folder can be used again."""
    limited = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))\n" + RUN
    command = [sys.executable, "-c", limited, str(project / "recipe.yaml"), str(project / "run"), *SETTINGS]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 3
    assert "cannot write" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((project / "run").rglob("*.tmp"))
    train(project / "recipe.yaml", project / "run", SETTINGS)


def test_settings_do_not_depend_on_what_else_is_loaded(monkeypatch):
    from graphc.train import reproducibility

    def library(path, version):
        return {"user_api": "blas", "internal_api": "openblas", "version": version, "filepath": path}

    ours = [library("/x/numpy.libs/b.so", "2"), library("/x/numpy.libs/a.so", "1")]
    found = []
    for loaded in (ours, [library("/x/scipy.libs/c.so", "3"), *reversed(ours)]):
        monkeypatch.setattr(reproducibility, "threadpool_info", lambda loaded=loaded: loaded)
        found.append(reproducibility.bit_settings())
    assert found[0] == found[1]
    assert found[0]["blas"] == ["openblas 1 None", "openblas 2 None"]


def test_a_log_that_was_cut_is_noticed(project):
    train(project / "recipe.yaml", project / "run", ["epochs=1"])
    (project / "run" / "metrics.jsonl").write_text("")
    with pytest.raises(WeightsError, match="bytes at the checkpoint, found 0"):
        resume(project / "run")
