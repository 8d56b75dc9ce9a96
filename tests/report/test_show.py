"""`graphc show`: golden tables, and columns that add up to what is printed below them."""

from __future__ import annotations

import csv
import io
import json
import re
import time
from collections.abc import Callable

import pytest

from graphc.compiler import plan_spec
from graphc.errors import SpecError
from graphc.passes.expectations import totals
from graphc.report.show import show
from graphc.report.tables import bytes_text, short
from graphc.report.where import where
from tests.passes.specs import plan_of

Golden = Callable[[str, str], None]


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORCE_COLOR", "COLUMNS", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)


def test_every_layer(golden: Golden) -> None:
    golden("lenet5.txt", show(plan_spec("lenet5"), "table"))


def test_folded(golden: Golden) -> None:
    golden("vgg_16_depth_1.txt", show(plan_spec("vgg_16"), "table", depth=1))


def test_tree(golden: Golden) -> None:
    golden("vgg_16_tree.txt", show(plan_spec("vgg_16"), "table", as_tree=True, depth=2))


def test_markdown(golden: Golden) -> None:
    golden("lenet5.md", show(plan_spec("lenet5"), "md"))


def test_where_the_work_is(golden: Golden) -> None:
    golden("inception_v3_by_macs.txt", where(plan_spec("inception_v3"), "MACs", "table", depth=1))


def test_json(golden: Golden) -> None:
    golden("lenet5.json", show(plan_spec("lenet5"), "json"))


@pytest.mark.parametrize("name", ["lenet5", "vgg_16", "inception_v3"])
@pytest.mark.parametrize("depth", [None, 1, 2])
def test_columns_add_up(name: str, depth: int | None) -> None:
    """What is printed, read back and added again, is the total that is printed and the total that is counted."""
    plan = plan_spec(name)
    *rows, total = csv.DictReader(io.StringIO(show(plan, "csv", depth=depth)))
    for column in ("params", "MACs", "memory"):
        assert sum(int(row[column] or 0) for row in rows) == int(total[column])
    assert int(total["params"]) == totals(plan)["params"]
    assert int(total["MACs"]) == totals(plan)["macs"]


def test_the_tree_adds_up() -> None:
    """A group's row is the sum of its layers'; the outermost rows are the total."""
    plan = plan_spec("vgg_16")
    *rows, total = csv.DictReader(io.StringIO(show(plan, "csv", as_tree=True, depth=1)))
    assert sum(int(row["memory"]) for row in rows) == int(total["memory"])
    lines = list(csv.DictReader(io.StringIO(show(plan, "csv", as_tree=True))))
    conv1 = next(index for index, row in enumerate(lines) if row["layer"] == "conv1")
    parts = [row for row in lines[conv1 + 1 :][:6] if row["params"] and row["layer"].startswith("  ")]
    assert sum(int(row["params"]) for row in parts) == int(lines[conv1]["params"])


@pytest.mark.parametrize("measure", ["params", "MACs", "memory"])
def test_shares_add_up(measure: str) -> None:
    rows = json.loads(where(plan_spec("lenet5"), measure, "json"))
    assert sum(row["share"] for row in rows) == pytest.approx(1)
    assert rows[-1]["cumulative"] == pytest.approx(1)
    assert [row[measure] for row in rows] == sorted((row[measure] for row in rows), reverse=True)


def test_where_the_time_goes() -> None:
    rows = json.loads(where(plan_spec("lenet5"), "ms", "json", depth=1))
    assert {row["layer"] for row in rows} == {"conv1", "pool1", "conv2", "pool2", "flatten", "fc", "logits"}
    assert all(row["ms"] > 0 for row in rows)
    assert sum(row["share"] for row in rows) == pytest.approx(1)


def test_chosen_columns() -> None:
    text = show(plan_spec("lenet5"), "csv", columns=("params", "layer"))
    assert text.splitlines()[:2] == ["params,layer", "156,conv1"]


def test_where_needs_fixed_sizes() -> None:
    plan = plan_of("inputs: {image: [N, H, W, 3]}\nlayers: [conv2d: {filters: 4, kernel: 3}]")
    for measure in ("MACs", "ms"):
        with pytest.raises(SpecError, match=f"{measure} needs fixed sizes"):
            where(plan, measure, "table")


def test_a_terminal_has_colours_and_keeps_its_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "90")
    monkeypatch.delenv("NO_COLOR", raising=False)
    text = show(plan_spec("vgg_16"), "table")
    assert "\x1b[34mconv2d" in text
    assert "left out for width: padding" in text
    monkeypatch.setenv("NO_COLOR", "1")
    plain = show(plan_spec("vgg_16"), "table")
    assert "\x1b[34m" not in plain
    table = [line for line in plain.splitlines() if "conv1_1" in line or "total" in line]
    assert all(len(line.replace("\x1b[2m", "").replace("\x1b[0m", "").replace("\x1b[1m", "")) <= 90 for line in table)


def test_units() -> None:
    assert [bytes_text(n) for n in (480, 1023, 1024, 18816, 2**20, 12845056)] == [
        "480   B",
        "1023   B",
        "1.0 KiB",
        "18.4 KiB",
        "1.0 MiB",
        "12.2 MiB",
    ]
    assert [short(n) for n in (None, 0, 999, 1000, 61706, 999_960, 138_357_544)] == [
        "–",
        "0",
        "999",
        "1.00 k",
        "61.7 k",
        "1.00 M",
        "138 M",
    ]


def test_a_table_of_many_rows_takes_a_time_in_proportion() -> None:
    layers = "inputs: {image: [N, 8, 8, 3]}\nlayers:\n  - repeat: {times: 6000, layer: relu}"
    plan = plan_of(layers)
    start = time.process_time()
    lines = show(plan, "table").splitlines()
    assert time.process_time() - start < 2 * 6
    assert len(lines) == 6000 + 8
    assert lines[-5].split()[0] == "repeat/relu_6000"


def test_the_headline_names_some_of_many_outputs() -> None:
    outputs = ", ".join(f"o{number}: r/r_{number}" for number in range(1, 101))
    layers = "inputs: {x: [N, 4]}\nlayers:\n  - repeat: {name: r, times: 100, layer: relu}"
    first = show(plan_of(f"{layers}\noutputs: {{{outputs}}}"), "table").splitlines()[0]
    assert first.endswith("o19 4, o20 4 and 80 more outputs")


def test_cells_are_cut_where_a_terminal_is_narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "30")
    layers = f"inputs: {{x: [N, 4]}}\nlayers:\n  - relu: {{name: {'a' * 50}}}"
    lines = re.sub(r"\x1b\[[0-9;]*m", "", show(plan_of(layers), "table")).splitlines()
    assert all(len(line) <= 30 for line in lines if "aaa" in line or "──" in line)
    assert any("aaa…" in line for line in lines)
