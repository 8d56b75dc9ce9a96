"""Ctrl-C and its like, at any moment and again: one word on stderr, the exit code, and never a traceback."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from graphc import system
from graphc.train import interruption
from graphc.train.checkpoint import Checkpoints
from graphc.train.commands import resume, train
from graphc.train.interruption import Abandoned, Interrupted, Interruption
from graphc.train.run_folder import RunFolder

from .test_resume import SETTINGS, _state, _wait_for, undisturbed

__all__ = ["undisturbed"]

PROGRAM = """
import os, signal, sys, threading, time
from graphc.cli import main

def ask(after, number, times):
    while signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        time.sleep(0.001)  # Python itself is starting
    time.sleep(after)
    for _ in range(times):
        os.kill(os.getpid(), number)
        time.sleep(0.002)

signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever the tests were started with
after, number, times = float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
sys.argv = ["graphc", *sys.argv[4:]]
threading.Thread(target=ask, args=(after, number, times), daemon=True).start()
main()
"""


def stopped(folder: Path, after: float, number: int, times: int, *command: str) -> subprocess.CompletedProcess[str]:
    start = [sys.executable, "-c", PROGRAM, str(after), str(int(number)), str(times), *command]
    return subprocess.run(start, capture_output=True, text=True, cwd=folder, check=False, timeout=60)


@pytest.mark.posix
@pytest.mark.parametrize("times", [1, 2, 5])
@pytest.mark.parametrize("after", [0.0, 0.05, 0.1, 0.2, 0.3, 0.4])
def test_no_traceback_while_things_are_loaded(tmp_path, after, times):
    ended = stopped(tmp_path, after, signal.SIGINT, times, "compile", "vgg_16", "-o", "net.onnx")
    assert ended.returncode == 130
    assert ended.stderr.strip() in ("interrupted", "")
    assert ended.stdout == ""
    assert not (tmp_path / "net.onnx").exists()


ASK_WHEN_LOADING = """
import _signal, os, sys
module = sys.argv[1]
class Ask:
    def find_spec(self, name, path=None, target=None):
        if name == module:
            os.kill(os.getpid(), _signal.SIGINT)
sys.meta_path.insert(0, Ask())
_signal.signal(_signal.SIGINT, getattr(_signal, sys.argv[2]))
from graphc.program import main
sys.argv[1:] = ["--version"]
main()
"""


@pytest.mark.posix
@pytest.mark.parametrize("module", ["graphc.cli", "graphc.cli.stopping", "graphc.cli.entry", "click"])
def test_no_traceback_while_the_command_itself_is_loaded(module):
    def started(handler: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", ASK_WHEN_LOADING, module, handler]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    ended = started("default_int_handler")
    assert ended.returncode in (-signal.SIGINT, 130)
    assert ended.stderr.strip() in ("interrupted", "")
    assert ended.stdout == ""
    ignoring = started("SIG_IGN")  # as `nohup` and jobs in the background have it
    assert (ignoring.returncode, ignoring.stderr) == (0, "")


@pytest.mark.posix
@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("after", [0.6, 0.9, 1.2])
def test_no_traceback_in_training(project, after, times):
    ended = stopped(project, after, signal.SIGINT, times, "train", "recipe.yaml", "-o", "run", "--set", "epochs=9999")
    assert ended.returncode == 130
    assert "Traceback" not in ended.stderr
    assert "Exception" not in ended.stderr


@pytest.mark.posix
def test_a_terminal_that_closes_is_no_end_without_saving(project, undisturbed):
    """The training writes to that terminal, too."""
    import fcntl
    import termios

    run, (ours, theirs) = project / "run", os.openpty()
    settings = [each for setting in SETTINGS for each in ("--set", setting)]
    process = subprocess.Popen(
        [sys.executable, "-m", "graphc", "train", str(project / "recipe.yaml"), "-o", str(run), *settings],
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509
        env={**os.environ, "OMP_NUM_THREADS": "1", "TERM": "xterm"},
    )  # fmt: skip
    os.close(theirs)
    os.set_blocking(ours, False)

    def is_under_way() -> bool:
        with contextlib.suppress(BlockingIOError):
            os.read(ours, 1 << 16)
        return len(list(run.glob("checkpoints/*.json"))) == 2

    _wait_for(is_under_way, process)
    os.close(ours)
    assert process.wait(timeout=60) == 129
    resume(run)
    assert _state(run) == undisturbed


@pytest.mark.posix
def test_a_hang_up_that_is_to_be_outlived_is_not_taken(monkeypatch):
    assert signal.SIGHUP in system.stop_signals()
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert signal.SIGHUP not in system.stop_signals()
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.posix
def test_hang_ups_are_sent_twice_and_are_one(monkeypatch):
    with Interruption().watching():
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGHUP)


@pytest.mark.posix
def test_a_second_signal_while_the_first_begins_to_wait_is_one(monkeypatch):
    class Starting(threading.Thread):
        def start(self):
            os.kill(os.getpid(), signal.SIGINT)
            super().start()

    monkeypatch.setattr(interruption.threading, "Thread", Starting)
    with pytest.raises(Interrupted), Interruption().watching():
        os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.posix
def test_a_step_is_given_up_although_an_object_was_ending(monkeypatch, capfd):
    """No exception goes on from there."""
    monkeypatch.setattr(interruption, "PATIENCE", 0.05)
    monkeypatch.setattr(interruption, "AGAIN", 0.05)

    class Ending:
        def __del__(self):
            os.kill(os.getpid(), signal.SIGTERM)
            nap(0.5)

    def nap(seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(0.01)

    asked = Interruption()

    def step() -> None:
        Ending()
        nap(20)

    with asked.watching(), pytest.raises(Abandoned), asked.computing():
        step()
    assert asked.signal == signal.SIGTERM
    assert capfd.readouterr().err == ""


@pytest.mark.posix
def test_a_worker_that_is_stopped_ends_the_training_in_time(project):
    run = project / "run"
    wait = ("--worker-timeout", "4")  # a loaded machine is slow to start one
    settings = ("--set", "epochs=9999", "--set", "data.workers=1", "--threads", "1", *wait)
    process = subprocess.Popen(
        [sys.executable, "-m", "graphc", "train", str(project / "recipe.yaml"), "-o", str(run), *settings],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    if not children.exists():
        process.kill()
        process.communicate()
        pytest.skip("this system does not list the children of a process")
    _wait_for(lambda: run.joinpath("timing.jsonl").exists() and children.read_text(), process)
    os.kill(int(children.read_text().split()[0]), signal.SIGSTOP)
    started = time.monotonic()
    _, words = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "error[G520]: data worker 0 (pid " in words
    assert "is stopped (SIGSTOP) and has not answered for 4 s" in words
    assert time.monotonic() - started < 30
    with RunFolder(run).locked():
        pass
    assert resume(run, epochs=RunFolder(run).records()[-1]["epoch"] + 2)


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_signal_while_a_checkpoint_is_written(project, undisturbed, monkeypatch, call):
    """It is written to its end, and nothing is left beside it."""
    real, save, saves = getattr(os, call), Checkpoints.save, []

    def saved(*arguments):
        saves.append(1)
        monkeypatch.setattr(os, call, interrupted if len(saves) == 3 else real)  # the first comes before training
        return save(*arguments)

    def interrupted(*arguments, **more):
        monkeypatch.setattr(os, call, real)
        os.kill(os.getpid(), signal.SIGINT)
        return real(*arguments, **more)

    monkeypatch.setattr(Checkpoints, "save", saved)
    with pytest.raises(Interrupted, match="saved") as caught:
        train(project / "recipe.yaml", project / "run", SETTINGS)
    assert caught.value.exit_code == 130
    monkeypatch.undo()
    assert not list((project / "run").rglob("*.tmp"))
    resume(project / "run")
    assert _state(project / "run") == undisturbed
