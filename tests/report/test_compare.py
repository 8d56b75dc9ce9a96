"""Networks and runs side by side, against what each says by itself."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.markup import escape

from graphc.cli import cli
from graphc.compiler import plan_spec
from graphc.errors import SpecError, WeightsError
from graphc.passes.arena import arena
from graphc.passes.expectations import totals
from graphc.report.compare import compare, row_of_run, rows_of_spec, seconds_an_epoch, variants
from graphc.report.tables import Look, render
from graphc.train.checkpoint import Checkpoints
from graphc.train.commands import train
from graphc.train.run_folder import RunFolder
from tests.costs import little
from tests.train.conftest import write_tiny_project


def test_a_variable_that_is_set_twice_makes_variants() -> None:
    assert variants([]) == [()]
    assert variants(["a=1", "b=2"]) == [("a=1", "b=2")]
    assert variants(["a=1", "b=2", "a=3", "b=4"]) == [
        ("a=1", "b=2"), ("a=1", "b=4"), ("a=3", "b=2"), ("a=3", "b=4")
    ]  # fmt: skip
    with pytest.raises(SpecError, match=r"expected at most 1,000 variants, found 1,024"):
        variants([f"{name}={value}" for name in "abcde" for value in range(4)])


def test_rows_are_what_each_network_says() -> None:
    settings = ["classes=7", "classes=10", "resolution=32"]
    rows = rows_of_spec("lenet5", settings, plan_spec)
    found = json.loads(compare(rows, "json"))
    assert [each["model"] for each in found] == ["lenet5 classes=7", "lenet5 classes=10"]
    for each, classes in zip(found, (7, 10), strict=True):
        plan = plan_spec("lenet5", {"classes": classes, "resolution": 32})
        assert (each["params"], each["MACs"]) == (totals(plan)["params"], totals(plan)["macs"])
        assert each["memory"] == arena(plan).live
        assert each["input"] == "32×32×1"


def test_a_run_says_its_best_epoch(tmp_path: Path) -> None:
    project = write_tiny_project(tmp_path)
    train(project / "recipe.yaml", project / "run", ["epochs=3"])
    checkpoint, _ = Checkpoints(RunFolder(project / "run").checkpoints).latest()
    assert checkpoint is not None
    row = row_of_run(str(project / "run"))
    tracker = checkpoint.facts["watch"]
    assert (row.epochs, row.best_epoch) == (3, tracker["epoch"])
    assert row.best["validation_accuracy"] == tracker["best"]
    result = CliRunner().invoke(cli, ["compare", "lenet5", str(project / "run"), "--format", "csv"])
    assert result.exit_code == 0, result.output
    spec, run = csv.DictReader(io.StringIO(result.output))
    assert spec["validation_accuracy"] == ""
    assert float(run["validation_accuracy"]) == tracker["best"]
    assert 0 < float(run["s/epoch"]) < 60


def test_latex_has_a_line_for_each_row() -> None:
    text = render(("a_b", "count"), [["x & y", 1234], ["50 % {z}", None]], "latex")
    assert r"\begin{tabular}{lr}" in text
    assert text.split("\n")[3:7] == [
        r"a\_b & count \\", r"\midrule", r"x \& y & 1,234 \\", r"50 \% \{z\} & -- \\"
    ]  # fmt: skip


def test_settings_are_of_specs(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["compare", str(tmp_path), "--set", "a=1"])
    assert result.exit_code == 2
    assert "--set and --until are for a SPEC" in result.output


@pytest.mark.parametrize(
    "line",
    ["x", "[]", "{}", '{"examples": 1e999, "seconds": 1}', f'{{"examples": 1, "seconds": 1{"0" * 400}}}'],
    ids=["no JSON", "a list", "nothing", "infinite", "too large"],
)
def test_times_that_are_none(tmp_path: Path, line: str) -> None:
    (tmp_path / "timing.jsonl").write_text(f"{line}\n")
    with pytest.raises(WeightsError, match=r"timing.jsonl:\d+:1: error\[G324\]: expected seconds of an epoch"):
        seconds_an_epoch(RunFolder(tmp_path))


def test_a_log_with_numbers_that_no_float_holds_is_refused(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text(f'{{"step": 1, "epoch": 1, "loss": 1{"0" * 400}}}\n')
    with pytest.raises(WeightsError, match=r"metrics.jsonl:1:1: .*expected a record with its step"):
        RunFolder(tmp_path).records()


def test_many_columns_cost_little():
    names = [f"validation_{number}" for number in range(10_000)]
    with little():
        text = render(["model", *names], [["a", *range(10_000)]], "table", look=Look(spare=names))
    assert "left out for width: validation_0, validation_1" in text
    assert " more (--columns chooses)" in text


@pytest.mark.parametrize("form", ["table", "csv", "md"])
def test_names_of_columns_and_notes_are_seen_as_they_are(form):
    name = "[/red]\x1b[31m\nb"
    text = render([name], [[1.5]], form, look=Look(notes=[escape(name)] if form == "table" else []))
    assert "\x1b" not in text
    assert "[/red]\\x1b[31m\\x0ab" in text
