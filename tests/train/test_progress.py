"""What is shown, on a terminal and without one."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from graphc.train.progress import Bar, Lines, Silent, reporter

RECORD = {"epoch": 2, "step": 9, "learning_rate": 0.1, "loss": 0.5, "accuracy": 0.75, "validation_accuracy": 0.7}


def _run(make, **console):
    out = io.StringIO()
    shown = make(Console(file=out, width=120, **console))
    shown.begin(8, 10)
    shown.stepped(9, 2, 0.5, 32)
    shown.epoch_done(RECORD, 2.0, 100)
    shown.stepped(10, 3, 0.25, 32)
    shown.end()
    return out.getvalue()


def test_a_line_an_epoch():
    text = _run(Lines)
    assert text == "epoch   2  loss 0.5000  accuracy 0.7500  val accuracy 0.7000  50 images/s  2.0 s\n"


def test_a_bar_on_a_terminal():
    text = _run(Bar, force_terminal=True)
    assert "epoch   2  loss 0.5000" in text
    assert "epoch 3 · validation_accuracy 0.7000" in text
    assert "10/10" in text


def test_quiet_is_about_what_changes_nothing(capsys):
    quiet = reporter(quiet=True)
    quiet.begin(0, 10)
    quiet.stepped(1, 1, 0.5, 32)
    quiet.epoch_done({"epoch": 1, "step": 1, "loss": 0.5}, 1.0, 32)
    quiet.say("not this")
    quiet.warn("warning[G326]: [this]")
    quiet.end()
    assert capsys.readouterr().err == "warning[G326]: [this]\n"


@pytest.mark.parametrize("kind", [Bar, Lines])
def test_a_terminal_that_was_closed_disturbs_nobody(kind):
    class Closed(io.StringIO):
        def write(self, text):
            raise OSError(5, "Input/output error")

    shown = kind(Console(file=Closed(), force_terminal=True))
    shown.begin(9, 10)
    shown.warn("warning")
    shown.stepped(10, 1, 0.25, 32)
    shown.epoch_done({"epoch": 1, "step": 10, "loss": 0.5}, 1.0, 32)
    shown.end()


def test_which_one(monkeypatch):
    assert isinstance(reporter(quiet=True), Silent)
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("NO_COLOR", "1")
    assert type(reporter()) is Lines
