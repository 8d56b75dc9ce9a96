"""Logs of runs that somebody else has made."""

from __future__ import annotations

import pytest

from graphc.errors import GraphcError
from graphc.report.page.runs import curves
from graphc.train.run_folder import RunFolder
from tests.costs import little

LINE = '{"epoch": 1, "step": 7, "loss": 1.0}\n'


@pytest.mark.parametrize(
    "line",
    [
        '{"epoch": 1, "step": "7"}',
        '{"epoch": 1, "step": 7.5}',
        '{"epoch": 1, "step": 7}',
        '{"epoch": 5, "step": 7}',
        '{"epoch": 2, "step": 7, "loss": true}',
        '{"epoch": 2, "step": 7, "loss": "0.5"}',
        '{"epoch": 2, "step": 7, "warning": 5}',
        '{"epoch": 1, "step": true}',
        '{"epoch": 1, "step": -7}',
        '{"epoch": "a", "step": 7}',
        '{"epoch": {"a": 1}, "step": 7}',
        '{"epoch": 1, "step": 7, "loss": NaN}',
        '{"epoch": 1, "step": 7, "loss": 1, "loss": 2}',
        '{"epoch": 1, "step": 7, "\\ud800": 1}',
        '{"epoch": 1, "step": 7, ' + ", ".join(f'"a{i}": 1' for i in range(10_000)) + "}",
    ],
)
def test_lines_of_a_log_that_graphc_does_not_write(tmp_path, line):
    folder = RunFolder(tmp_path)
    folder.log.write_text(LINE + line + "\n")
    with pytest.raises(GraphcError, match=r"metrics.jsonl:2:1: error\[G324\]: expected a record with its step"):
        folder.records()


def test_long_logs_cost_little(tmp_path):
    folder = RunFolder(tmp_path)
    folder.log.write_text(
        "".join(f'{{"step":{i},"loss":1.0}}\n{{"epoch":{i + 1},"step":{i}}}\n' for i in range(15_000))
    )
    with little():
        assert len(curves(folder.records())["loss"]) == 15_000
