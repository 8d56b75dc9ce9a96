"""The nets of the benchmarks are what they expect to be; the benchmarks themselves are run by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.gpu import run as gpu
from graphc.compiler import plan_spec

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
NETS = (*sorted((BENCHMARKS / "nets").glob("*.yaml")), BENCHMARKS / "cifar10" / "resnet20.yaml")


@pytest.mark.parametrize("path", NETS, ids=lambda path: path.stem)
def test_nets_hold_their_expectations(path: Path) -> None:
    """Which are counted by hand: in vgg_cifar by 9*C*F a convolution and four numbers a channel of batch norm."""
    assert plan_spec(path).graph.nodes


def test_the_command_for_a_gpu_runs_on_a_cpu(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All its parts, with tiny sizes; the figures mean nothing here."""
    pytest.importorskip("onnxruntime")
    assert gpu.main(["--provider", "cpu", "--tiny", "-o", str(tmp_path / "found.md")]) == 0, capsys.readouterr().err
    text = (tmp_path / "found.md").read_text(encoding="utf-8")
    assert [line for line in text.splitlines() if line.startswith("## ")] == [f"## {name}" for name in gpu.PARTS]
    assert "| lenet | 2 | exact | " in text
    assert "5 kinds have NumPy's output and gradients" in text


def test_without_a_gpu_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnxruntime")
    assert gpu.main(["--provider", "cuda", "--tiny"]) == 3
    assert "error[G503]: provider cuda needs the package onnxruntime-gpu" in capsys.readouterr().err
